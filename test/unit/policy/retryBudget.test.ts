import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  balance,
  deposit,
  type RetryBudget,
  type RetryBudgetLimits,
  withdraw,
} from "../../../core/policy/retryBudget.ts"

const LIMITS: RetryBudgetLimits = { windowMs: 1_000, repeatRatio: 0.2, repeatsPerSecondMin: 3 }

describe("the budget of repeats", () => {
  it("ten calls back two repeats, beside the reserve", () => {
    let budget: RetryBudget = []
    for (let call = 0; call < 10; call++) budget = deposit(LIMITS, budget, 0)
    expect(balance(LIMITS, budget, 0)).toBeCloseTo(5)
    for (let repeat = 0; repeat < 5; repeat++) {
      const next = withdraw(LIMITS, budget, 0)
      expect(next).not.toBeNull()
      budget = next ?? budget
    }
    expect(withdraw(LIMITS, budget, 0)).toBeNull()
    expect(withdraw(LIMITS, budget, 1_000)).not.toBeNull()
  })

  it("never grants more in any window than the window's calls and the reserve back, and stays small", () => {
    const step = fc.record({ elapseMs: fc.nat({ max: 300 }), isCall: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        let budget: RetryBudget = []
        let nowMs = 0
        const granted: number[] = []
        const calls: number[] = []
        for (const { elapseMs, isCall } of steps) {
          nowMs += elapseMs
          if (isCall) {
            budget = deposit(LIMITS, budget, nowMs)
            calls.push(nowMs)
          } else {
            const next = withdraw(LIMITS, budget, nowMs)
            if (next !== null) granted.push(nowMs)
            budget = next ?? budget
          }
          expect(budget.length).toBeLessThanOrEqual(11)
          // A slice leaves as a whole, so a repeat may be forgotten up to one slice early.
          const sinceMs = nowMs - LIMITS.windowMs + LIMITS.windowMs / 10
          const recent = (times: number[]): number => times.filter((atMs) => atMs >= sinceMs).length
          const backing = calls.filter((atMs) => atMs > nowMs - LIMITS.windowMs - LIMITS.windowMs / 10).length
          expect(recent(granted)).toBeLessThanOrEqual(3 + 0.2 * backing + 2)
        }
      }),
      { numRuns: 200 },
    )
  })
})
