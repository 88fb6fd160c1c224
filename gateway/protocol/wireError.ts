/** Errors on the wire: JSON-RPC 2.0 error objects whose `data` says what a program and a person need. */
import { Schema } from "effect"
import { type BerthError, berthError, ERROR_CODES, type ErrorCode } from "../../core/errors.ts"

/** The integer of every code. Public: a number is never given to another code. */
export const RPC_CODES = {
  PARSE_ERROR: -32700,
  INVALID_REQUEST: -32600,
  METHOD_NOT_FOUND: -32601,
  INVALID_PARAMS: -32602,
  INTERNAL: -32603,
  TOO_LARGE: -32001,
  NOT_YET: -32002,
  UNAUTHORIZED: -32003,
  FORBIDDEN: -32004,
  NOT_FOUND: -32005,
  WRONG_STATE: -32006,
  IDEMPOTENCY_MISMATCH: -32007,
  RATE_LIMITED: -32008,
  TOO_MANY: -32009,
  RUNTIME_UNKNOWN: -32010,
  HANDLER_UNKNOWN: -32011,
  ISOLATION_UNAVAILABLE: -32012,
  IMAGE_NOT_FOUND: -32013,
  IMAGE_NEEDS_SHELL: -32014,
  IMAGE_REFUSED: -32015,
  PROFILE_NOT_TAKEN: -32016,
  VERSION_CONFLICT: -32017,
  STORAGE_FULL: -32018,
  STORE_UNAVAILABLE: -32019,
  STORE_CORRUPT: -32020,
  SCHEMA_TOO_NEW: -32021,
  DATA_DIR_LOCKED: -32022,
  BACKEND_UNAVAILABLE: -32023,
  OVERLOADED: -32024,
  NOT_READY: -32025,
  SHUTTING_DOWN: -32026,
  CONNECTION_LOST: -32027,
  DEADLINE_EXCEEDED: -32028,
  CONFIG_INVALID: -32029,
  SECRET_UNKNOWN: -32030,
  SECRET_KEY_WRONG: -32031,
  SANDBOX_BELOW_FLOORS: -32032,
} as const satisfies Record<ErrorCode, number>

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_CODES, code)

/** What `data` of an error holds, and the body of a refused HTTP request. */
export const ErrorData = Schema.Struct({
  code: Schema.String.annotate({ description: "Name of the error, for programs.", examples: ["INVALID_PARAMS"] }),
  retryable: Schema.Boolean.annotate({ description: "Whether the same request may succeed later, unchanged." }),
  hint: Schema.String.annotate({ description: "What to do about it." }),
  path: Schema.NullOr(Schema.String).annotate({
    description: "The place in the request that is wrong, or null.",
    examples: ["params.files[0].path"],
  }),
}).annotate({ identifier: "ErrorData" })
export type ErrorData = typeof ErrorData.Type

export const WireError = Schema.Struct({
  code: Schema.Int.annotate({ description: "Integer of the error, as JSON-RPC wants it." }),
  message: Schema.String.annotate({ description: "What happened, for people." }),
  data: ErrorData,
}).annotate({ identifier: "Error", description: "A JSON-RPC 2.0 error object." })
export type WireError = typeof WireError.Type

export const errorData = (error: BerthError): ErrorData => ({
  code: error.code,
  retryable: error.retryable,
  hint: error.advice,
  path: error.path ?? null,
})

/** An error as it is sent. Its cause stays behind: that is for the log. */
export const toWireError = (error: BerthError): WireError => ({
  code: RPC_CODES[error.code],
  message: error.message,
  data: errorData(error),
})

/** An error as it was received. A code of a newer server becomes INTERNAL, with its name in the message. */
export function fromWireError({ message, data }: WireError): BerthError {
  const path = data.path === null ? {} : { path: data.path }
  return isErrorCode(data.code)
    ? berthError(data.code, message, { hint: data.hint, ...path })
    : berthError("INTERNAL", `${data.code}: ${message}`, { hint: data.hint, ...path })
}
