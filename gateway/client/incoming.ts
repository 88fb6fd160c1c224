import { Result, Schema } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import { fromWireError, WireError } from "../protocol/wireError.ts"

/** One frame of the server, sorted. */
export type Incoming =
  | { readonly type: "result"; readonly id: number; readonly result: unknown }
  | { readonly type: "error"; readonly id: number; readonly error: BerthError }
  | { readonly type: "notification"; readonly method: string; readonly params: unknown }
  /** Nothing that this client can use; a newer server may say more than we know. */
  | { readonly type: "noise" }

const decodeError = Schema.decodeUnknownResult(WireError)

const NOISE: Incoming = { type: "noise" }

/** Sorts a frame by its shape. Never throws. */
export function decodeFrame(text: string): Incoming {
  let frame: unknown
  try {
    frame = JSON.parse(text)
  } catch {
    return NOISE
  }
  if (typeof frame !== "object" || frame === null) return NOISE
  const { id, method, params, result, error } = frame as Record<string, unknown>
  if (typeof method === "string" && id === undefined) return { type: "notification", method, params }
  if (typeof id !== "number") return NOISE
  return error === undefined ? { type: "result", id, result } : { type: "error", id, error: readError(error) }
}

function readError(error: unknown): BerthError {
  const read = decodeError(error)
  return Result.isSuccess(read)
    ? fromWireError(read.success)
    : berthError("INTERNAL", "the server answered with an error that this client cannot read", { cause: error })
}
