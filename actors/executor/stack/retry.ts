import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import { type RetryPolicy, retryDelayMs } from "../../../core/policy/retry.ts"
import type { Clock } from "../../../core/ports/clock.ts"
import type { Random } from "../../../core/ports/random.ts"
import type { EngineCall } from "../guard.ts"
import type { CallLayer } from "./layer.ts"
import type { SharedRetryBudget } from "./retryBudget.ts"

export interface RetryOptions {
  readonly policy: RetryPolicy
  readonly budget: SharedRetryBudget
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  /** False: the backend is being left alone, and a repeat would only be rejected. */
  readonly mayRepeat: () => boolean
}

/**
 * Repeats calls that are safe to repeat, after BACKEND_UNAVAILABLE only, with full jitter and within the process's budget.
 * Attempts of tasks are never repeated here; the task machine alone decides about those.
 */
export const retryIfSafe =
  (options: RetryOptions): CallLayer =>
  (inner) =>
  <A>(call: EngineCall, run: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> => {
    if (!call.repeatable) return inner(call, run)
    const tried = (attempt: number): Effect.Effect<A, BerthError> =>
      Effect.catch(inner(call, run), (error) =>
        mayTryAgain(options, attempt, error)
          ? Effect.flatMap(pause(options, attempt), () => tried(attempt + 1))
          : Effect.fail(error),
      )
    return Effect.suspend(() => {
      // While the backend is left alone there is nothing to earn and nothing to repeat.
      if (!options.mayRepeat()) return inner(call, run)
      options.budget.deposit()
      return tried(1)
    })
  }

const mayTryAgain = (options: RetryOptions, attempt: number, error: BerthError): boolean =>
  error.code === "BACKEND_UNAVAILABLE" &&
  attempt < options.policy.maxAttempts &&
  options.mayRepeat() &&
  options.budget.tryWithdraw()

const pause = (options: RetryOptions, attempt: number): Effect.Effect<void> =>
  Effect.suspend(() => options.clock.sleep(retryDelayMs(options.policy, attempt, options.random.next01())))
