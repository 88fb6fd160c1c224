/**
 * May this request become a socket? Everything is decided before the handshake, from the request's head alone.
 *
 *   U1. Host must be on the list: a page that made its own name resolve to our address says that name here.
 *   U2. Origin must be on the list, whole and exact. Without one the caller is no browser, and must then bring its token in
 *       the Authorization header, which no page can make a browser send.
 *   U3. The token comes in Authorization or as a second subprotocol; in a query string it would end up in logs.
 *   U4. Only `berth.v1` is ever echoed.
 */
import type { IncomingMessage } from "node:http"
import { Result } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import { SOCKET_PATH, SUBPROTOCOL, TOKEN_SUBPROTOCOL_PREFIX } from "../protocol/limits.ts"

export interface DoorNames {
  /** Host names, without port and in lower case, under which this server may be spoken to. */
  readonly hosts: ReadonlySet<string>
  /** Origins such as `https://berth.example:8443` whose pages may connect. */
  readonly origins: ReadonlySet<string>
}

type Head = Pick<IncomingMessage, "method" | "url" | "headers">

/** A Host header's name: without port, without brackets, in lower case; null when it is none. */
export function hostName(header: string | undefined): string | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::[0-9]{1,5})?$/.exec(header ?? "")
  const name = match?.[1] ?? match?.[2]
  return name === undefined ? null : name.toLowerCase()
}

const forbidden = (message: string): BerthError => berthError("FORBIDDEN", message)

/** U1. */
export function hostError(head: Head, names: DoorNames): BerthError | null {
  const name = hostName(head.headers.host)
  return name !== null && names.hosts.has(name)
    ? null
    : berthError("FORBIDDEN", "this Host is not served here", { hint: "Add the name to the server's list of hosts." })
}

/** The token of an Authorization header, or null. */
export function bearerToken(head: Head): string | null {
  return /^Bearer ([A-Za-z0-9_.~+/=-]+)$/i.exec(head.headers.authorization ?? "")?.[1] ?? null
}

/** A query parameter that looks as if it held a token. */
const hasTokenInQuery = (query: URLSearchParams): boolean =>
  [...query.keys()].some((name) => /^(access_?token|token|jwt|auth(orization)?|bearer)$/i.test(name))

/** The checks of a request that asks for a socket; answers with the token to verify. */
export function upgradeToken(head: Head, names: DoorNames): Result.Result<string, BerthError> {
  // Split by hand: URL throws at some addresses and resolves others before they could be refused.
  const [pathname = "", query = ""] = (head.url ?? "").split("?", 2)
  if (hasTokenInQuery(new URLSearchParams(query)))
    return Result.fail(
      berthError("UNAUTHORIZED", "a token must not be in a query string", {
        hint: "Send it in the Authorization header.",
      }),
    )
  if (pathname !== SOCKET_PATH)
    return Result.fail(berthError("NOT_FOUND", `sockets are at ${SOCKET_PATH}`, { hint: `Connect to ${SOCKET_PATH}.` }))
  const host = hostError(head, names)
  if (host !== null) return Result.fail(host)
  const offered = (head.headers["sec-websocket-protocol"] ?? "").split(",").map((protocol) => protocol.trim())
  if (!offered.includes(SUBPROTOCOL))
    return Result.fail(
      berthError("INVALID_REQUEST", `the subprotocol must be ${SUBPROTOCOL}`, {
        hint: `Offer ${SUBPROTOCOL} in Sec-WebSocket-Protocol.`,
      }),
    )
  return originToken(head, names, offered)
}

/** U2 and U3. */
function originToken(head: Head, names: DoorNames, offered: readonly string[]): Result.Result<string, BerthError> {
  const bearer = bearerToken(head)
  const { origin } = head.headers
  if (origin === undefined) {
    return bearer === null
      ? Result.fail(berthError("UNAUTHORIZED", "without an Origin the token must come in the Authorization header"))
      : Result.succeed(bearer)
  }
  if (!names.origins.has(origin)) return Result.fail(forbidden("pages of this Origin may not connect"))
  const tokens = offered.filter((protocol) => protocol.startsWith(TOKEN_SUBPROTOCOL_PREFIX))
  const token = bearer ?? tokens[0]?.slice(TOKEN_SUBPROTOCOL_PREFIX.length)
  if (token === undefined || token === "" || tokens.length > 1)
    return Result.fail(berthError("UNAUTHORIZED", "one token must come in Authorization or as a subprotocol"))
  return Result.succeed(token)
}
