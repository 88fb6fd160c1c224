/** Where a page of `list` ended: rows go by time of submission and id, newest first. */
import { berthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import { ID_PATTERN } from "../../core/record.ts"

export interface Position {
  readonly submittedAtMs: number
  readonly id: string
}

export const encodeCursor = ({ submittedAtMs, id }: Position): string => `${submittedAtMs}.${id}`

/** Throws BerthError INVALID_PARAMS for anything that `encodeCursor` did not make. */
export function decodeCursor(cursor: string): Position {
  // A time may have a fraction; an id has no dot.
  const dot = cursor.lastIndexOf(".")
  const submittedAtMs = Number(cursor.slice(0, dot))
  const id = cursor.slice(dot + 1)
  if (dot < 1 || !Number.isFinite(submittedAtMs) || !ID_PATTERN.test(id)) {
    throw berthError("INVALID_PARAMS", "this cursor was not made by a list", { path: "cursor" })
  }
  return { submittedAtMs, id }
}

/** At least one row, at most `LIMITS.listPageMax`, whatever was asked for. */
export const pageRows = (rowsMax: number): number => Math.max(1, Math.min(LIMITS.listPageMax, Math.trunc(rowsMax)))

/** How many rows of these stored sizes make a page: no more than were asked for and its bytes allow, and one in any case. */
export function pageLength(rowBytes: readonly number[], rowsMax: number): number {
  let bytes = 0
  const tooLarge = rowBytes.findIndex((each) => (bytes += each) > LIMITS.listPageBytesMax)
  return Math.min(rowsMax, tooLarge === -1 ? rowBytes.length : Math.max(1, tooLarge))
}
