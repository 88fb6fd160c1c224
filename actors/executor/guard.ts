import type { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"

/** One call to a backend, as the layers around it need to know it. */
export interface EngineCall {
  /** For spans, metrics and messages: `inspect`, `create`, `start`, … */
  readonly name: string
  /** May be made again after an unknown outcome: inspect, list, remove, pull, and create (its name is deterministic). */
  readonly repeatable: boolean
  /** Longest time until the answer; a stream keeps its own until it is closed. */
  readonly deadlineMs: number
  /** Goes through the start width: starting is CPU-bound. */
  readonly start: boolean
}

/**
 * The layers around one backend, seen as one function. A failure that says something about the backend's health is a
 * BerthError with code BACKEND_UNAVAILABLE (refused, reset, deadline, 5xx); every other one passes through unjudged.
 */
export type Guard = <A>(call: EngineCall, run: Effect.Effect<A, BerthError>) => Effect.Effect<A, BerthError>
