/**
 * JSON-RPC 2.0 as spoken here. One text frame is one message.
 *
 *   V1. A request has `jsonrpc`, `id`, `method`, and at most `params`, an object. Its one answer carries the same `id`.
 *   V2. A request without `id` is a notification: as JSON-RPC demands it is not answered, and as no method here is meant
 *       for that, nothing is done. It counts towards the message limits.
 *   V3. A batch (an array) is refused with INVALID_REQUEST: the limits count messages, so send each in a frame of its own.
 *   V4. What cannot be read well enough to know its `id` is answered with `id: null`.
 */
import { berthError, type BerthError } from "../../core/errors.ts"
import type { NotificationName, NotificationParams } from "./events.ts"
import { boundsError } from "./jsonBounds.ts"
import { DOOR } from "./limits.ts"
import { toWireError, type WireError } from "./wireError.ts"

export type RequestId = string | number

export type Incoming =
  | { readonly kind: "request"; readonly id: RequestId; readonly method: string; readonly params: unknown }
  | { readonly kind: "notification" }
  | { readonly kind: "refused"; readonly id: RequestId | null; readonly error: BerthError }

const ENVELOPE_FIELDS: ReadonlySet<string> = new Set(["jsonrpc", "id", "method", "params"])

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isRequestId = (id: unknown): id is RequestId =>
  typeof id === "string" ? id.length > 0 && id.length <= DOOR.requestIdCharsMax : Number.isSafeInteger(id)

function idOf(message: unknown): RequestId | null {
  const id = isRecord(message) && Object.hasOwn(message, "id") ? message["id"] : null
  return isRequestId(id) ? id : null
}

const ID_AT_FRONT = /^\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*("[^"\\\u0000-\u001f]{1,128}"|-?\d{1,15})\s*[,}]/
/** Longer than any front that has an id in it. */
const FRONT_CHARS = 512

/** The id of a request that is not read any further, where it stands in front as our own clients put it; else null. */
export function idAtFront(text: string): RequestId | null {
  const id = ID_AT_FRONT.exec(text.slice(0, FRONT_CHARS))?.[1]
  return id === undefined ? null : (JSON.parse(id) as RequestId)
}

const refused = (id: RequestId | null, error: BerthError): Incoming => ({ kind: "refused", id, error })

/** Reads one message of a client: its bounds first, then its envelope. The parameters are left to `decodeParams`. */
export function readRequest(text: string): Incoming {
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    return refused(null, berthError("PARSE_ERROR", "the message is not JSON"))
  }
  const id = idOf(message)
  const bounds = boundsError(message)
  if (bounds !== null) return refused(id, bounds)
  const envelope = envelopeError(message)
  if (envelope !== null) return refused(id, envelope)
  const { method, params } = message as { readonly method: string; readonly params?: unknown }
  return id === null ? { kind: "notification" } : { kind: "request", id, method, params }
}

const invalid = (message: string, path?: string): BerthError =>
  berthError("INVALID_REQUEST", message, path === undefined ? {} : { path })

function envelopeError(message: unknown): BerthError | null {
  if (Array.isArray(message)) return invalid("batches are not taken: send each request in a frame of its own")
  if (!isRecord(message)) return invalid("a request is an object")
  const unknown = Object.keys(message).find((field) => !ENVELOPE_FIELDS.has(field))
  if (unknown !== undefined) return invalid("this is not a field of a request", unknown.slice(0, 64))
  if (message["jsonrpc"] !== "2.0") return invalid('jsonrpc must be "2.0"', "jsonrpc")
  if (typeof message["method"] !== "string") return invalid("method must be a string", "method")
  if (Object.hasOwn(message, "id") && !isRequestId(message["id"]))
    return invalid(`id must be a whole number, or a string of 1 to ${DOOR.requestIdCharsMax} characters`, "id")
  if (message["params"] !== undefined && !isRecord(message["params"]))
    return invalid("params must be an object", "params")
  return null
}

export const writeRequest = (id: RequestId, method: string, params: unknown): string =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params })

export const writeResult = (id: RequestId, result: unknown): string => JSON.stringify({ jsonrpc: "2.0", id, result })

export const writeError = (id: RequestId | null, error: BerthError): string =>
  JSON.stringify({ jsonrpc: "2.0", id, error: toWireError(error) })

export const writeNotification = <N extends NotificationName>(method: N, params: NotificationParams<N>): string =>
  JSON.stringify({ jsonrpc: "2.0", method, params })

/** One message of a server. Its result or parameters are still to be decoded. */
export type ServerMessage =
  | { readonly kind: "result"; readonly id: RequestId; readonly result: unknown }
  | { readonly kind: "error"; readonly id: RequestId | null; readonly error: WireError }
  | { readonly kind: "notification"; readonly method: string; readonly params: unknown }

/** Reads one message of a server; null when it is none. */
export function readServerMessage(text: string): ServerMessage | null {
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    return null
  }
  if (!isRecord(message) || message["jsonrpc"] !== "2.0") return null
  const { id = null, method, params, result, error } = message
  if (typeof method === "string") return { kind: "notification", method, params }
  if (isRecord(error) && (id === null || isRequestId(id)))
    return { kind: "error", id, error: error as unknown as WireError }
  return isRequestId(id) && result !== undefined ? { kind: "result", id, result } : null
}
