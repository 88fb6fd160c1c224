import { Effect } from "effect"
import { direct } from "../../actors/executor/stack/layer.ts"
import { retryIfSafe } from "../../actors/executor/stack/retry.ts"
import { SharedRetryBudget } from "../../actors/executor/stack/retryBudget.ts"
import { type RetryPolicy, retryDelayMs } from "../../core/policy/retry.ts"
import { liveClock, seededRandom } from "../../test/support/clock.ts"
import { callOf, unavailable } from "../../test/support/engineCall.ts"
import { type Gate, median } from "./gate.ts"

/** Long, so that whole milliseconds do not show in the distribution. */
const POLICY: RetryPolicy = { maxAttempts: 10, delayMsInitial: 1_000_000, delayMsMax: 64_000_000, factor: 2 }
const SAMPLES = 20_000
const CLIENTS = 1_000
const BINS = 20
const WAVES = 3

/**
 * Kolmogorov–Smirnov: the largest distance between the delays' distribution and the uniform one over [0, ceiling), times the
 * root of the number of samples. Of a truly uniform source one run in 10,000 exceeds 2.23.
 */
const distance = (samples: number, seed: number): number => {
  const { next01 } = seededRandom(seed)
  let worst = 0
  for (const attempt of [1, 2, 5, 9]) {
    const ceilingMs = Math.min(POLICY.delayMsInitial * POLICY.factor ** (attempt - 1), POLICY.delayMsMax)
    const delays = Float64Array.from(
      { length: samples },
      () => retryDelayMs(POLICY, attempt, next01()) / ceilingMs,
    ).sort()
    delays.forEach((value, rank) => {
      worst = Math.max(worst, (rank + 1) / samples - value, value - rank / samples)
    })
  }
  return worst * Math.sqrt(samples)
}

/** Clients that all fail at the same moment, through the layer itself: how full is the fullest bin of their first repeats? */
const firstWave = (seed: number): number => {
  const delays: number[] = []
  const clock = {
    ...liveClock,
    sleep: (ms: number) => {
      delays.push(ms)
      return Effect.never
    },
  }
  const guard = retryIfSafe({
    policy: POLICY,
    budget: new SharedRetryBudget({ windowMs: 10_000, repeatRatio: 1, repeatsPerSecondMin: CLIENTS }, clock),
    clock,
    random: seededRandom(seed),
    mayRepeat: () => true,
  })(direct)
  for (let client = 0; client < CLIENTS; client++) {
    Effect.runFork(guard(callOf({ repeatable: true }), Effect.fail(unavailable())))
  }
  const bins = Array.from({ length: BINS }, () => 0)
  for (const delayMs of delays) {
    const bin = Math.floor((delayMs / POLICY.delayMsInitial) * BINS)
    bins[bin] = (bins[bin] ?? 0) + 1
  }
  return Math.max(...bins) / (CLIENTS / BINS)
}

const waves = async (): Promise<number> => median(Array.from({ length: WAVES }, (_, index) => firstWave(index + 1)))

export const jitterGates: readonly Gate[] = [
  {
    name: "full jitter: Kolmogorov–Smirnov distance × √n",
    unit: "",
    bound: { atMost: 2.23 },
    measure: async () => distance(SAMPLES, 3),
    quick: async () => distance(2_000, 3),
  },
  {
    name: `full jitter: fullest of ${BINS} bins, first wave of ${CLIENTS} clients`,
    unit: "× mean",
    bound: { atMost: 1.5 },
    measure: waves,
    quick: waves,
  },
]
