import { Effect } from "effect"
import type { EngineCall } from "../../actors/executor/guard.ts"
import { type BerthError, berthError } from "../../core/errors.ts"

/** A call as an engine adapter would describe it. */
export const callOf = (more: Partial<EngineCall> = {}): EngineCall => ({
  name: "inspect",
  repeatable: false,
  deadlineMs: 5_000,
  start: false,
  ...more,
})

export const unavailable = (message = "connect ECONNREFUSED"): BerthError => berthError("BACKEND_UNAVAILABLE", message)
export const refused = (): BerthError => berthError("IMAGE_REFUSED", "no such thing")

export type HowItEnds = "ok" | "unavailable" | "refused" | "defect"

/** A call that ends when, and how, the test says; it heeds its interruption. */
export const pendingCall = () => {
  let resume: (effect: Effect.Effect<string, BerthError>) => void = () => undefined
  let begun = 0
  let interrupted = 0
  const run = Effect.callback<string, BerthError>((settle) => {
    begun++
    resume = settle
    return Effect.sync(() => {
      interrupted++
    })
  })
  return {
    run,
    begun: () => begun,
    interrupted: () => interrupted,
    end: (how: HowItEnds) => resume(ending(how)),
  }
}

export const ending = (how: HowItEnds): Effect.Effect<string, BerthError> => {
  if (how === "ok") return Effect.succeed("ok")
  if (how === "defect") return Effect.die(new Error("a defect"))
  return Effect.fail(how === "unavailable" ? unavailable() : refused())
}
