/** A data directory that cannot be used, for another reason than that somebody else has it: waiting does not help. */
import { BerthError, berthError } from "../../core/errors.ts"
import { isBusy } from "./connection.ts"

/** Errors of the system that say that a file system is full. */
const FULL: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT"])
const HINT =
  "Give the user that Berth runs as a directory that it can write, with --data or BERTH_DATA; in a container, a volume that is that user's."

/**
 * STORAGE_FULL for a full disk, else CONFIG_INVALID: what a person has to put right.
 *
 * @param cause - what the system or SQLite said; other errors of Berth are left as they are
 */
export function unusable(dataDir: string, cause: unknown): BerthError {
  if (cause instanceof BerthError && (cause.code !== "STORE_UNAVAILABLE" || isBusy(cause))) return cause
  const isFull = cause instanceof Error && "code" in cause && FULL.has(cause.code)
  const reason = cause instanceof Error ? cause.message : String(cause)
  const message = `cannot use the data directory ${dataDir}: ${reason}`
  return isFull
    ? berthError("STORAGE_FULL", message, { cause })
    : berthError("CONFIG_INVALID", message, { cause, hint: HINT })
}
