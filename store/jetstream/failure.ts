import { JetStreamApiError } from "@nats-io/jetstream"
import {
  AuthorizationError,
  NoRespondersError,
  PermissionViolationError,
  UserAuthenticationExpiredError,
} from "@nats-io/transport-node"
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
  // JetStream is off for the account, or for the server.
  10039: "CONFIG_INVALID",
  10076: "CONFIG_INVALID",
}

/** Stream, consumer or message does not exist. */
const ABSENT_CODES: ReadonlySet<number> = new Set([10059, 10014, 10037])
const HINTS: Partial<Record<ErrorCode, string>> = {
  CONFIG_INVALID: "Turn JetStream on: `jetstream {}` in nats-server's configuration, and for the user's account.",
  STORAGE_FULL: "Give the broker room (max_file_store, or the stream's max_bytes); nothing that was accepted is lost.",
}
/** What Node says of a certificate that it does not trust, or of a peer that does not trust ours. */
const TLS_CODE = /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/
/** An errors' chain of causes is never this long. */
const CAUSES_MAX = 8

type Kind<A> = abstract new (...args: never[]) => A

/** A failure and what it was caused by: the client wraps what matters in errors of its own. */
function chainOf(cause: unknown): readonly unknown[] {
  const chain: unknown[] = []
  for (let next = cause; next instanceof Error && chain.length < CAUSES_MAX; next = next.cause) chain.push(next)
  return chain
}

const find = <A>(cause: unknown, kind: Kind<A>): A | undefined =>
  chainOf(cause).find((each): each is A => each instanceof kind)

/** The stream, consumer or message that an answer is about does not exist. */
export const isAbsent = (cause: unknown): boolean => {
  const answer = find(cause, JetStreamApiError)
  return answer !== undefined && ABSENT_CODES.has(answer.code)
}

/** Whether the broker's answer was an error of this code. */
export const answeredWith = (cause: unknown, code: number): boolean => find(cause, JetStreamApiError)?.code === code

/** Nobody listens on the subject: no stream keeps it, or no server of the broker does JetStream. */
export const isUnheard = (cause: unknown): boolean => find(cause, NoRespondersError) !== undefined

/** A subject that the broker's user may not use. */
export const refusal = (what: string, cause: PermissionViolationError): BerthError =>
  berthError("CONFIG_INVALID", `${what}: ${cause.message}`, {
    cause,
    path: "nats",
    hint: `Let the broker's user ${cause.operation === "subscription" ? "subscribe to" : "publish to"} "${cause.subject}": \`berth nats permissions\` prints what each role needs.`,
  })

const UNTRUSTED = {
  path: "nats.tls",
  hint: "Check ca, cert and key: each side must trust the authority that signed the other's certificate.",
}
const UNKNOWN_USER = {
  path: "nats.credentials",
  hint: "Check user and password, token, nkey seed or .creds file against the server's configuration.",
}

/** A broker's failure as one of ours. Fails closed: what is not known is STORE_UNAVAILABLE, never success. */
export const storeError =
  (what: string) =>
  (cause: unknown): BerthError => {
    const own = find(cause, BerthError)
    if (own !== undefined) return own
    const message = `${what}: ${cause instanceof Error ? cause.message : String(cause)}`
    const answer = find(cause, JetStreamApiError)
    if (answer !== undefined) {
      const code = API_CODES[answer.code] ?? "STORE_UNAVAILABLE"
      const hint = HINTS[code]
      return berthError(code, message, { cause, ...(hint === undefined ? {} : { hint }) })
    }
    const violation = find(cause, PermissionViolationError)
    if (violation !== undefined) return refusal(what, violation)
    if (isUntrusted(cause)) return berthError("CONFIG_INVALID", message, { cause, ...UNTRUSTED })
    if (find(cause, AuthorizationError) ?? find(cause, UserAuthenticationExpiredError))
      return berthError("CONFIG_INVALID", message, { cause, ...UNKNOWN_USER })
    return berthError("STORE_UNAVAILABLE", message, { cause })
  }

const isUntrusted = (cause: unknown): boolean =>
  chainOf(cause).some((each) => TLS_CODE.test(String((each as NodeJS.ErrnoException).code ?? "")))
