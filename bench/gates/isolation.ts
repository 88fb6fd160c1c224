import { Effect, Fiber } from "effect"
import { type Backend, makeBackend } from "../../actors/executor/stack/backend.ts"
import { Bulkhead } from "../../actors/executor/stack/bulkhead.ts"
import { makeRetryBudget } from "../../actors/executor/stack/retryBudget.ts"
import { liveClock, seededRandom } from "../../test/support/clock.ts"
import { callOf } from "../../test/support/engineCall.ts"
import { type Gate, median, quantile } from "./gate.ts"

const ROUNDS = 5
const CALLS = 4_000
/** Baseline and trouble take turns this often within a round, so that other load on the machine meets both alike. */
const TURNS = 20
const SLOTS = { slots: 64, waitingMax: 1_024, waitMsMax: 600_000 }
const INTERRUPTS = 10_000
const QUICK_INTERRUPTS = 1_000

const backendOf = (name: string): Backend =>
  makeBackend(name, {
    clock: liveClock,
    random: seededRandom(1),
    budget: makeRetryBudget(liveClock),
    slots: SLOTS,
  })

/** An answer that takes a turn of the event loop, as one from a socket does. */
const answer = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

const timesOf = async (backend: Backend, calls: number): Promise<number[]> => {
  const call = backend.guard(callOf(), answer)
  const timesMs: number[] = []
  for (let index = 0; index < calls; index++) {
    const beganMs = performance.now()
    await Effect.runPromise(call)
    timesMs.push(performance.now() - beganMs)
  }
  return timesMs
}

/** A backend that answers nothing, with all of its slots taken and its line full. */
const hang = (backend: Backend): (() => Promise<void>) => {
  const call = backend.guard(callOf({ deadlineMs: 600_000 }), Effect.never)
  const fibers = Array.from({ length: SLOTS.slots + SLOTS.waitingMax }, () => Effect.runFork(call))
  return () => Effect.runPromise(Fiber.interruptAll(fibers))
}

interface Ratios {
  readonly p50: number
  readonly p99: number
}

const round = async (): Promise<Ratios> => {
  const [a, b] = [backendOf("a"), backendOf("b")]
  const baseline: number[] = []
  const trouble: number[] = []
  for (let turn = 0; turn < TURNS; turn++) {
    const measureBaseline = async () => baseline.push(...(await timesOf(b, CALLS / TURNS)))
    const measureTrouble = async () => {
      const release = hang(a)
      trouble.push(...(await timesOf(b, CALLS / TURNS)))
      await release()
    }
    // Who goes first alternates, so that neither always meets what the other left behind.
    if (turn % 2 === 0) await measureBaseline().then(measureTrouble)
    else await measureTrouble().then(measureBaseline)
  }
  const ratio = (share: number): number => quantile(trouble, share) / quantile(baseline, share)
  return { p50: ratio(0.5), p99: ratio(0.99) }
}

let rounds: Promise<readonly Ratios[]> | null = null
const measured = (): Promise<readonly Ratios[]> =>
  (rounds ??= (async () => {
    await timesOf(backendOf("warm"), CALLS)
    const all: Ratios[] = []
    for (let index = 0; index < ROUNDS; index++) all.push(await round())
    return all
  })())

/** Slots and places in the line that are still taken after everybody was interrupted, some time or other. */
const leaked = async (interrupts: number): Promise<number> => {
  const { next01 } = seededRandom(11)
  const bulkhead = new Bulkhead("slots", { slots: 8, waitingMax: 64, waitMsMax: 5 }, liveClock)
  const fibers: Fiber.Fiber<unknown, unknown>[] = []
  for (let index = 0; index < interrupts; index++) {
    const inside =
      next01() < 0.5 ? Effect.yieldNow : Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    const before = next01() < 0.3 ? Effect.yieldNow : Effect.void
    const fiber = Effect.runFork(Effect.exit(Effect.andThen(before, bulkhead.hold(inside))))
    fibers.push(fiber)
    if (next01() < 0.2) await Promise.resolve()
    if (next01() < 0.05) await new Promise<void>((resolve) => setImmediate(resolve))
    // Mostly one that began a little while ago: in the line, being let in, or inside.
    fibers[Math.max(0, index - Math.floor(next01() * 80))]?.interruptUnsafe()
  }
  await Effect.runPromise(Fiber.interruptAll(fibers))
  return bulkhead.inUse() + bulkhead.waiting()
}

export const isolationGates: readonly Gate[] = [
  {
    name: "bulkhead: p50 of B while A hangs, against baseline",
    unit: "×",
    bound: { atMost: 1.1 },
    measure: async () => median((await measured()).map((ratios) => ratios.p50)),
    quick: null,
  },
  {
    name: "bulkhead: p99 of B while A hangs, against baseline",
    unit: "×",
    bound: { atMost: 1.3 },
    measure: async () => median((await measured()).map((ratios) => ratios.p99)),
    quick: null,
  },
  {
    name: `bulkhead: permits leaked by ${INTERRUPTS} random interrupts`,
    unit: "permits",
    bound: { exactly: 0 },
    measure: () => leaked(INTERRUPTS),
    quick: () => leaked(QUICK_INTERRUPTS),
  },
]
