import { JetStreamApiError } from "@nats-io/jetstream"
import { AuthorizationError, PermissionViolationError } from "@nats-io/transport-node"
import { BerthError, berthError, type ErrorCode } from "../../core/errors.ts"

/** The broker's own error codes that mean something to us; whatever else it says is an outage. */
const API_CODES: Readonly<Record<number, ErrorCode>> = {
  // The last sequence of the subject is another one; the second code is what a clustered stream says.
  10071: "VERSION_CONFLICT",
  10164: "VERSION_CONFLICT",
  // The stream's bytes, the account's or the server's storage.
  10023: "STORAGE_FULL",
  10028: "STORAGE_FULL",
  10047: "STORAGE_FULL",
  10077: "STORAGE_FULL",
  10122: "STORAGE_FULL",
  10054: "TOO_LARGE",
}

/** The stream or message that an answer is about does not exist. */
export const isAbsent = (cause: unknown): boolean =>
  cause instanceof JetStreamApiError && (cause.code === 10059 || cause.code === 10014 || cause.code === 10037)

/** A broker's failure as one of ours. Fails closed: what is not known is STORE_UNAVAILABLE, never success. */
export const storeError =
  (what: string) =>
  (cause: unknown): BerthError => {
    if (cause instanceof BerthError) return cause
    const said = cause instanceof Error ? cause.message : String(cause)
    if (cause instanceof JetStreamApiError) {
      return berthError(API_CODES[cause.code] ?? "STORE_UNAVAILABLE", `${what}: ${said}`, { cause })
    }
    if (cause instanceof AuthorizationError || cause instanceof PermissionViolationError) {
      return berthError("CONFIG_INVALID", `${what}: ${said}`, {
        cause,
        hint: "Give the broker's user the rights to JetStream and to the subjects below `berth.`.",
      })
    }
    return berthError("STORE_UNAVAILABLE", `${what}: ${said}`, { cause })
  }
