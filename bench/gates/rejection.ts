import { Effect } from "effect"
import { makeBackend } from "../../actors/executor/stack/backend.ts"
import { makeRetryBudget } from "../../actors/executor/stack/retryBudget.ts"
import { liveClock, seededRandom } from "../../test/support/clock.ts"
import { callOf, unavailable } from "../../test/support/engineCall.ts"
import { type Gate, quantile } from "./gate.ts"

const CALLS = 100_000
const QUICK_CALLS = 2_000

interface Rejections {
  readonly timesMs: readonly number[]
  readonly backendCalls: number
}

/** All layers around a backend whose breaker is open: how long does a caller wait for its no, and does anything get through? */
const rejections = async (calls: number): Promise<Rejections> => {
  const backend = makeBackend("engine", {
    clock: liveClock,
    random: seededRandom(1),
    budget: makeRetryBudget(liveClock),
    breaker: { openMsInitial: 600_000, openMsMax: 600_000 },
  })
  while (backend.accepting()) await Effect.runPromiseExit(backend.guard(callOf(), Effect.fail(unavailable())))
  let backendCalls = 0
  const call = Effect.exit(
    backend.guard(
      callOf({ repeatable: true }),
      Effect.sync(() => backendCalls++),
    ),
  )
  for (let warm = 0; warm < 5_000; warm++) await Effect.runPromise(call)
  const timesMs = new Array<number>(calls)
  for (let index = 0; index < calls; index++) {
    const beganMs = performance.now()
    await Effect.runPromise(call)
    timesMs[index] = performance.now() - beganMs
  }
  backend.close()
  return { timesMs, backendCalls }
}

/** One run serves three gates. */
let full: Promise<Rejections> | null = null
const measured = (): Promise<Rejections> => (full ??= rejections(CALLS))

export const rejectionGates: readonly Gate[] = [
  {
    name: "breaker open: rejection p99",
    unit: "ms",
    bound: { atMost: 0.05 },
    measure: async () => quantile((await measured()).timesMs, 0.99),
    quick: null,
  },
  {
    name: "breaker open: rejection p99.99",
    unit: "ms",
    bound: { atMost: 1 },
    measure: async () => quantile((await measured()).timesMs, 0.9999),
    quick: null,
  },
  {
    name: "breaker open: calls that reached the backend",
    unit: "calls",
    bound: { exactly: 0 },
    measure: async () => (await measured()).backendCalls,
    quick: async () => (await rejections(QUICK_CALLS)).backendCalls,
  },
]
