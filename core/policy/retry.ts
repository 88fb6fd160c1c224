/** When, and how often, a failed attempt is tried again. Durations are in milliseconds. */
export interface RetryPolicy {
  /** Attempts in all, the first included. At least 1. Default 1. */
  readonly maxAttempts: number
  /** Delay before the second attempt, before jitter. Default 1_000. */
  readonly delayMsInitial: number
  /** Upper bound of any delay, jitter included. Default 60_000. */
  readonly delayMsMax: number
  /** Growth per attempt. Default 2. */
  readonly factor: number
}

export const RETRY_DEFAULT: RetryPolicy = { maxAttempts: 1, delayMsInitial: 1_000, delayMsMax: 60_000, factor: 2 }

/**
 * Full-jitter exponential delay before the attempt after `attempt`: uniform over [0, min(cap, initial · factor^(attempt−1))],
 * the form that spreads a thundering herd best (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 *
 * @param attempt - the attempt that just failed, 1-based
 * @param jitter01 - a number in [0, 1); the caller supplies it, so that replay is exact
 * @returns whole milliseconds in [0, delayMsMax]
 */
export function retryDelayMs(policy: RetryPolicy, attempt: number, jitter01: number): number {
  // Finite, so that an initial delay of nothing stays nothing however often it grows.
  const growth = Math.min(policy.factor ** (attempt - 1), Number.MAX_VALUE)
  const ceiling = Math.min(policy.delayMsInitial * growth, policy.delayMsMax)
  return Math.floor(ceiling * jitter01)
}
