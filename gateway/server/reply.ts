/** What HTTP requests are answered with. */
import type { Duplex } from "node:stream"
import { type BerthError, ERROR_CODES, type ErrorCode } from "../../core/errors.ts"
import { errorData } from "../protocol/wireError.ts"

export interface Reply {
  readonly status: number
  readonly body: string | Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

const JSON_TYPE = "application/json; charset=utf-8"

/** Statuses of the codes that are neither 400 nor 503. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_FOUND: 405,
  WRONG_STATE: 409,
  IDEMPOTENCY_MISMATCH: 409,
  TOO_LARGE: 413,
  RATE_LIMITED: 429,
  TOO_MANY: 429,
  INTERNAL: 500,
}

/** The HTTP status of an error: 503 when it is worth another try, 400 when not, unless there is a better one. */
export const httpStatus = ({ code }: BerthError): number =>
  STATUS[code] ?? (ERROR_CODES[code][0] === "retryable" ? 503 : 400)

export const jsonReply = (status: number, value: unknown): Reply => ({
  status,
  body: `${JSON.stringify(value)}\n`,
  headers: { "content-type": JSON_TYPE },
})

/** A refusal over HTTP: the same words as over the socket. */
export function errorReply(error: BerthError): Reply {
  const reply = jsonReply(httpStatus(error), { error: { message: error.message, ...errorData(error) } })
  return error.code === "UNAUTHORIZED"
    ? { ...reply, headers: { ...reply.headers, "www-authenticate": "Bearer" } }
    : reply
}

/** Writes a refusal where there is no response object to write to, and ends the connection. Answers its status. */
export function refuseRaw(socket: Duplex, error: BerthError, status = httpStatus(error)): number {
  const { body, headers } = errorReply(error)
  const lines = { ...headers, connection: "close", "content-length": String(Buffer.byteLength(body)) }
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} Refused\r\n${head.join("")}\r\n${String(body)}`, () => socket.destroy())
  return status
}
