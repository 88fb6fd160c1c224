import { Effect, Exit } from "effect"
import type { Clock } from "../../../core/ports/clock.ts"
import type { CallLayer } from "./layer.ts"

/** One call as its caller saw it: waiting, repeats and rejection included. */
export interface CallObservation {
  readonly backend: string
  readonly call: string
  readonly outcome: "ok" | "failed" | "interrupted"
  /** The error's code; null unless it failed with one. */
  readonly code: string | null
  readonly durationMs: number
}

/**
 * One observation per call, and a span where spans are wanted: without somebody who collects them they are most of what a
 * rejected call costs.
 */
export const traced =
  (
    backend: string,
    clock: Clock["Service"],
    observe: (observation: CallObservation) => void,
    hasSpans: boolean,
  ): CallLayer =>
  (inner) =>
  (call, run) => {
    const observed = Effect.suspend(() => {
      const beganMonoMs = clock.monoMs()
      return Effect.onExit(inner(call, run), (exit) => {
        observe({ backend, call: call.name, ...outcomeOf(exit), durationMs: clock.monoMs() - beganMonoMs })
        return Effect.void
      })
    })
    return hasSpans ? Effect.withSpan(observed, `${backend}.${call.name}`) : observed
  }

const outcomeOf = (exit: Exit.Exit<unknown, { readonly code: string }>): Pick<CallObservation, "outcome" | "code"> => {
  if (Exit.isSuccess(exit)) return { outcome: "ok", code: null }
  for (const reason of exit.cause.reasons)
    if (reason._tag === "Fail") return { outcome: "failed", code: reason.error.code }
  return { outcome: Exit.hasInterrupts(exit) ? "interrupted" : "failed", code: null }
}
