/**
 * How many repeats a whole process may make: a share of its first calls, and a small reserve so that a quiet process may
 * repeat too. Without it every caller repeats by its own policy, and a backend that is down gets several times its load.
 * The rule is that of Finagle's RetryBudget: https://github.com/twitter/finagle (com.twitter.finagle.service.RetryBudget).
 */
export interface RetryBudgetLimits {
  /** How long a first call backs its share of a repeat. Default 10_000. */
  readonly windowMs: number
  /** Repeats per first call, in [0, 1]. Default 0.2. */
  readonly repeatRatio: number
  /** Repeats a second that are allowed whatever the load. Default 5. */
  readonly repeatsPerSecondMin: number
}

export const RETRY_BUDGET_LIMITS: RetryBudgetLimits = { windowMs: 10_000, repeatRatio: 0.2, repeatsPerSecondMin: 5 }

interface Slice {
  readonly fromMonoMs: number
  readonly calls: number
  readonly repeats: number
}

/** Calls and repeats of the window, oldest first. */
export type RetryBudget = readonly Slice[]

const SLICES = 10

const added = (
  limits: RetryBudgetLimits,
  budget: RetryBudget,
  nowMonoMs: number,
  calls: number,
  repeats: number,
): RetryBudget => {
  const sliceMs = limits.windowMs / SLICES
  const fromMonoMs = Math.floor(nowMonoMs / sliceMs) * sliceMs
  const kept = budget.filter((slice) => slice.fromMonoMs > nowMonoMs - limits.windowMs)
  const last = kept.at(-1)
  if (last?.fromMonoMs !== fromMonoMs) return [...kept, { fromMonoMs, calls, repeats }]
  return [...kept.slice(0, -1), { fromMonoMs, calls: last.calls + calls, repeats: last.repeats + repeats }]
}

/** The budget after one more first call. */
export const deposit = (limits: RetryBudgetLimits, budget: RetryBudget, nowMonoMs: number): RetryBudget =>
  added(limits, budget, nowMonoMs, 1, 0)

/** Repeats that may be made now; whole ones count. Never negative. */
export function balance(limits: RetryBudgetLimits, budget: RetryBudget, nowMonoMs: number): number {
  const kept = budget.filter((slice) => slice.fromMonoMs > nowMonoMs - limits.windowMs)
  const reserve = (limits.repeatsPerSecondMin * limits.windowMs) / 1_000
  const earned = kept.reduce((sum, slice) => sum + slice.calls * limits.repeatRatio - slice.repeats, 0)
  return Math.max(0, reserve + earned)
}

/** The budget after a repeat, or null when there is none left. */
export const withdraw = (limits: RetryBudgetLimits, budget: RetryBudget, nowMonoMs: number): RetryBudget | null =>
  // Shares of a call are fractions; ten fifths must make two repeats in spite of binary rounding.
  balance(limits, budget, nowMonoMs) + 1e-9 < 1 ? null : added(limits, budget, nowMonoMs, 0, 1)
