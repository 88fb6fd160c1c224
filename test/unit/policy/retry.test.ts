/** Does the delay before a retry stay in its bounds, and is it spread as full jitter says? */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { RETRY_DEFAULT, type RetryPolicy, retryDelayMs } from "../../../core/policy/retry.ts"
import { seededRandom } from "../../support/clock.ts"

const policies: fc.Arbitrary<RetryPolicy> = fc.record({
  maxAttempts: fc.integer({ min: 1, max: 100 }),
  delayMsInitial: fc.integer({ min: 0, max: 86_400_000 }),
  delayMsMax: fc.integer({ min: 0, max: 86_400_000 }),
  factor: fc.double({ min: 1, max: 100, noNaN: true }),
})
const attempts = fc.integer({ min: 1, max: 1_000 })
const chance = fc.double({ min: 0, max: 0.999_999, noNaN: true })

const ceilingMs = (policy: RetryPolicy, attempt: number): number => {
  let ms = policy.delayMsInitial
  for (let n = 1; n < attempt && ms < policy.delayMsMax; n += 1) ms *= policy.factor
  return Math.min(ms, policy.delayMsMax)
}

/** Largest distance between the sample's distribution and the uniform one over [0, 1]. */
function kolmogorovSmirnov(sample: readonly number[]): number {
  const sorted = sample.toSorted((a, b) => a - b)
  const distances = sorted.flatMap((x, i) => [x - i / sorted.length, (i + 1) / sorted.length - x])
  return Math.max(...distances)
}

describe("how long does a failed attempt wait?", () => {
  it("a whole number of milliseconds, never below zero, never above the cap, whatever the attempt", () => {
    fc.assert(
      fc.property(policies, attempts, chance, (policy, attempt, jitter01) => {
        const delayMs = retryDelayMs(policy, attempt, jitter01)
        expect(Number.isSafeInteger(delayMs)).toBe(true)
        expect(delayMs).toBeGreaterThanOrEqual(0)
        expect(delayMs).toBeLessThanOrEqual(policy.delayMsMax)
        expect(delayMs).toBeLessThanOrEqual(Math.ceil(ceilingMs(policy, attempt)))
      }),
      { numRuns: 2_000 },
    )
  })

  it("more chance is more delay, and a later attempt has no lower ceiling", () => {
    fc.assert(
      fc.property(policies, attempts, chance, chance, (policy, attempt, one, other) => {
        const [low, high] = one < other ? [one, other] : [other, one]
        expect(retryDelayMs(policy, attempt, low)).toBeLessThanOrEqual(retryDelayMs(policy, attempt, high))
        expect(retryDelayMs(policy, attempt, high)).toBeLessThanOrEqual(retryDelayMs(policy, attempt + 1, high))
      }),
      { numRuns: 2_000 },
    )
  })

  it.each([
    [1, 1_000],
    [2, 2_000],
    [6, 32_000],
    [7, 60_000],
    [40, 60_000],
  ])("attempt %i of the default policy: uniform over [0, %i) (Kolmogorov-Smirnov, 99.9 %%)", (attempt, ceiling) => {
    const random = seededRandom(attempt)
    const sample = Array.from(
      { length: 10_000 },
      // Half a millisecond makes up for the rounding down.
      () => (retryDelayMs(RETRY_DEFAULT, attempt, random.next01()) + 0.5) / ceiling,
    )
    expect(kolmogorovSmirnov(sample)).toBeLessThan(1.95 / Math.sqrt(sample.length))
  })

  it("the test of the distribution would notice equal jitter", () => {
    const random = seededRandom(3)
    const sample = Array.from({ length: 10_000 }, () => 0.5 + random.next01() / 2)
    expect(kolmogorovSmirnov(sample)).toBeGreaterThan(1.95 / Math.sqrt(sample.length))
  })
})
