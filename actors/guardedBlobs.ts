import { Effect } from "effect"
import { type BerthError, berthError } from "../core/errors.ts"
import type { Blobs } from "../core/ports/blobs.ts"
import type { EngineCall, Guard } from "./executor/guard.ts"

const DEADLINE_MS = 30_000
const callOf = (name: string): EngineCall => ({ name, repeatable: true, deadlineMs: DEADLINE_MS, start: false })
const CALLS = { put: callOf("put"), get: callOf("get"), remove: callOf("remove"), list: callOf("list") } as const

/**
 * The store of blobs behind layers of its own: one that fails or hangs is left alone for a while, and takes nobody else along.
 * Layers speak of backends, callers of a store: STORE_UNAVAILABLE says the same as BACKEND_UNAVAILABLE, and is what callers get.
 */
export function guardedBlobs(blobs: Blobs["Service"], guard: Guard): Blobs["Service"] {
  const guarded = <A>(call: EngineCall, run: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
    guard(call, Effect.mapError(run, renamed("STORE_UNAVAILABLE", "BACKEND_UNAVAILABLE"))).pipe(
      Effect.mapError(renamed("BACKEND_UNAVAILABLE", "STORE_UNAVAILABLE")),
    )
  return {
    bytesMax: blobs.bytesMax,
    put: (key, bytes) => guarded(CALLS.put, blobs.put(key, bytes)),
    get: (key) => guarded(CALLS.get, blobs.get(key)),
    removePrefix: (prefix) => guarded(CALLS.remove, blobs.removePrefix(prefix)),
    list: (prefix) => guarded(CALLS.list, blobs.list(prefix)),
  }
}

type Code = "STORE_UNAVAILABLE" | "BACKEND_UNAVAILABLE"

const renamed =
  (from: Code, to: Code) =>
  (error: BerthError): BerthError =>
    error.code === from ? berthError(to, error.message, { cause: error.cause ?? error }) : error
