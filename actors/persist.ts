import { Effect } from "effect"
import type { BerthError } from "../core/errors.ts"
import type { Clock } from "../core/ports/clock.ts"
import type { Random } from "../core/ports/random.ts"
import { retryDelayMs, type RetryPolicy } from "../core/policy/retry.ts"

const STORE_RETRY: RetryPolicy = {
  maxAttempts: Number.MAX_SAFE_INTEGER,
  delayMsInitial: 50,
  delayMsMax: 2_000,
  factor: 2,
}

/**
 * Repeats an idempotent effect while its failure is retryable, with full jitter, until it succeeds, fails for good, or is
 * interrupted. For what has to become durable whatever the store is going through.
 */
export const persist = <A>(
  effect: Effect.Effect<A, BerthError>,
  clock: Clock["Service"],
  random: Random["Service"],
): Effect.Effect<A, BerthError> => {
  const attempt = (count: number): Effect.Effect<A, BerthError> =>
    Effect.catch(effect, (error) =>
      error.retryable
        ? Effect.andThen(clock.sleep(retryDelayMs(STORE_RETRY, count, random.next01())), attempt(count + 1))
        : Effect.fail(error),
    )
  return attempt(1)
}
