import { berthError, type BerthError, type ErrorCode } from "../../core/errors.ts"
import type { SocketEnd } from "./transport.ts"

/** What the end of a socket means: the error that callers see, and whether the same address and token may work later. */
export interface EndVerdict {
  readonly error: BerthError
  readonly final: boolean
}

const BY_HTTP_STATUS: Readonly<Record<number, readonly [ErrorCode, boolean]>> = {
  400: ["INVALID_REQUEST", true],
  401: ["UNAUTHORIZED", true],
  403: ["FORBIDDEN", true],
  404: ["INVALID_REQUEST", true],
  426: ["INVALID_REQUEST", true],
  429: ["RATE_LIMITED", false],
}

const BY_CLOSE_CODE: Readonly<Record<number, readonly [ErrorCode, boolean]>> = {
  1001: ["SHUTTING_DOWN", false],
  1008: ["FORBIDDEN", true],
  1009: ["TOO_LARGE", false],
  1012: ["SHUTTING_DOWN", false],
  1013: ["OVERLOADED", false],
  4400: ["INVALID_REQUEST", true],
  4401: ["UNAUTHORIZED", true],
  4403: ["FORBIDDEN", true],
  4408: ["DEADLINE_EXCEEDED", false],
  4429: ["RATE_LIMITED", false],
}

/** Decides by codes alone; the reason is only shown. */
export function judgeEnd(end: SocketEnd, url: string): EndVerdict {
  const known = (end.httpStatus === undefined ? undefined : BY_HTTP_STATUS[end.httpStatus]) ?? BY_CLOSE_CODE[end.code]
  const [code, final] = known ?? ["CONNECTION_LOST", false]
  const how = end.httpStatus === undefined ? `code ${end.code}` : `HTTP ${end.httpStatus}`
  const why = end.reason === "" ? "" : `: ${end.reason}`
  return { error: berthError(code, `the connection to ${url} ended (${how})${why}`), final }
}
