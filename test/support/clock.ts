import { Effect } from "effect"
import type { Clock } from "../../core/ports/clock.ts"
import type { Failpoint, Failpoints } from "../../core/ports/failpoints.ts"
import type { Random } from "../../core/ports/random.ts"

type ClockService = Clock["Service"]
type RandomService = Random["Service"]
type FailpointsService = Failpoints["Service"]

/** Real time, for tests against a real engine. */
export const liveClock: ClockService = {
  nowMs: () => Date.now(),
  monoMs: () => performance.now(),
  sleep: (ms) => Effect.sleep(ms),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
}

export interface ManualClock extends ClockService {
  /** Moves both clocks forward, calling what falls due in order, and lets what was woken run in between. */
  readonly advance: (ms: number) => Promise<void>
  /** Moves the wall clock alone, either way, as a person with a keyboard would. */
  readonly stepWall: (ms: number) => void
  /** Timers that are armed: what a test waits for instead of time. */
  readonly armed: () => number
  /** Resolves once at least `count` timers are armed. */
  readonly untilArmed: (count: number) => Promise<void>
}

/** Lets every continuation that is ready run. */
export const settle = async (turns = 20): Promise<void> => {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** Time that stands still until the test moves it. */
export const manualClock = (startWallMs = 1_750_000_000_000): ManualClock => {
  let monoMs = 0
  let wallOffsetMs = startWallMs
  let order = 0
  const timers = new Map<number, { readonly atMs: number; readonly callback: () => void }>()
  const after = (ms: number, callback: () => void): (() => void) => {
    const id = order++
    timers.set(id, { atMs: monoMs + Math.max(0, ms), callback })
    return () => void timers.delete(id)
  }
  const nextDue = (untilMs: number): number | null => {
    let found: number | null = null
    for (const [id, timer] of timers) {
      if (timer.atMs > untilMs) continue
      if (found === null || timer.atMs < (timers.get(found)?.atMs ?? 0)) found = id
    }
    return found
  }
  const advance = async (ms: number): Promise<void> => {
    const untilMs = monoMs + ms
    await settle()
    for (let id = nextDue(untilMs); id !== null; id = nextDue(untilMs)) {
      const timer = timers.get(id)
      timers.delete(id)
      monoMs = Math.max(monoMs, timer?.atMs ?? monoMs)
      timer?.callback()
      await settle()
    }
    monoMs = untilMs
  }
  return {
    nowMs: () => wallOffsetMs + monoMs,
    monoMs: () => monoMs,
    sleep: (ms) =>
      Effect.callback<void>((resume) => {
        const cancel = after(ms, () => resume(Effect.void))
        return Effect.sync(cancel)
      }),
    after,
    advance,
    stepWall: (ms) => {
      wallOffsetMs += ms
    },
    armed: () => timers.size,
    untilArmed: async (count) => {
      while (timers.size < count) await settle(1)
    },
  }
}

/** Chance that a seed decides (mulberry32): the same seed, the same run. */
export const seededRandom = (seed: number): RandomService => {
  let state = seed >>> 0
  let ids = 0
  const next01 = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return {
    next01,
    id: () => {
      const salt = Math.floor(next01() * 0xffff_ffff).toString(36)
      return `${(ids++).toString(36).padStart(10, "0")}${salt}`.padEnd(22, "0").slice(0, 22)
    },
  }
}

/** Production's: every point is passed through. */
export const noFailpoints: FailpointsService = { hit: () => Effect.void }

/** Failpoints that do what a test says, and remember what was hit. */
export const armedFailpoints = (
  actions: Partial<Record<Failpoint, Effect.Effect<void>>>,
): FailpointsService & { readonly hits: readonly Failpoint[] } => {
  const hits: Failpoint[] = []
  return {
    hits,
    hit: (name) =>
      Effect.suspend(() => {
        hits.push(name)
        return actions[name] ?? Effect.void
      }),
  }
}
