import { berthError } from "../../core/errors.ts"

/** A token, or a function that gets a fresh one: for every connection, and for an open one before its token expires. */
export type TokenSource = string | (() => string | Promise<string>)

const SCHEMES: Readonly<Record<string, string>> = { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" }

/**
 * The WebSocket address of a server, from what people write: `127.0.0.1:7411`, `http://host:7411`, `wss://host/v1`.
 * Fails with INVALID_PARAMS when it is no such address, or carries a user, a password or a query.
 */
export function socketUrl(text: string): string {
  const spelled = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `ws://${text}`
  let url: URL
  try {
    url = new URL(spelled)
  } catch {
    throw berthError("INVALID_PARAMS", `not the address of a server: ${JSON.stringify(text)}`, { path: "url" })
  }
  const scheme = SCHEMES[url.protocol]
  if (scheme === undefined) {
    throw berthError("INVALID_PARAMS", `a server's address begins with ws, wss, http or https, not ${url.protocol}`, {
      path: "url",
    })
  }
  if (url.username !== "" || url.password !== "" || url.search !== "") {
    throw berthError("INVALID_PARAMS", "a server's address carries no user, password or query", {
      path: "url",
      hint: "Give the token as `token`.",
    })
  }
  const path = url.pathname === "/" ? "/v1" : url.pathname
  return `${scheme}//${url.host}${path}`
}

/** The address over HTTP of the same server, without a path. */
export const httpOrigin = (socketAddress: string): string => new URL(socketAddress.replace(/^ws/, "http")).origin
