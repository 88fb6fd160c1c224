/**
 * Time and order of one simulation: whatever the actors await is either a call of a port or a timer, and a seed chooses which
 * of them comes next.
 *
 *   SC1. Nothing happens between two steps but what the step before set going; the same seed gives the same steps.
 *   SC2. Time moves only when a step moves it, to the next timer or the end of the next delay.
 *   SC3. Calls and timers of a life that is over never come back to it.
 */
import { createHash, type Hash } from "node:crypto"
import { seededRandom } from "../support/clock.ts"

/** One run of a node, from its start until it is dropped or has stopped. */
export interface Life {
  readonly name: string
  isOver: boolean
  /** Until then nothing of it happens, as if its process were stopped; it does not know. */
  pausedUntilMs: number
  /** Until then nothing of it reaches the store of leases. */
  cutUntilMs: number
  /** How far this life's wall clock is off. */
  skewMs: number
}

/** Something that the seed may let happen next. */
export interface Waiting {
  readonly label: string
  /** Null: nobody's, such as a program that runs. */
  readonly life: Life | null
  /** Not before. */
  readyAtMs: number
  readonly happen: () => void
  /** Its caller is gone before it happened; what becomes of it then. Absent: nothing. */
  readonly happenUnheard?: () => void
}

interface Timer {
  readonly atMs: number
  readonly life: Life | null
  readonly callback: () => void
}

const STEPS_KEPT = 60
/** Turns of the event loop after each step, in which everything that it set going comes to its next await. */
const SETTLE_TURNS = 3
const EXTRA_TIME_CHANCE = 0.03

export class Schedule {
  readonly seed: number
  nowMs = 0
  steps = 0
  readonly #next01: () => number
  readonly #hash: Hash = createHash("sha256")
  readonly #recent: string[] = []
  #waiting: Waiting[] = []
  #timers: Timer[] = []

  constructor(seed: number) {
    this.seed = seed
    this.#next01 = seededRandom(seed).next01
  }

  chance(probability: number): boolean {
    return this.#next01() < probability
  }

  /** A whole number from `min` to `max`, both included. */
  whole(min: number, max: number): number {
    return min + Math.floor(this.#next01() * (max - min + 1))
  }

  pick<A>(from: readonly A[]): A {
    return from[this.whole(0, from.length - 1)] as A
  }

  add(waiting: Waiting): void {
    if (waiting.life?.isOver !== true) this.#waiting.push(waiting)
  }

  remove(waiting: Waiting): void {
    this.#waiting = this.#waiting.filter((other) => other !== waiting)
  }

  after(life: Life | null, ms: number, callback: () => void): () => void {
    const timer = { atMs: this.nowMs + Math.max(0, ms), life, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** What a dead life had asked for and was not yet answered: it happens, now or later, or it never does. */
  drop(life: Life): void {
    life.isOver = true
    this.#timers = this.#timers.filter((timer) => timer.life !== life)
    const left = this.#waiting.filter((waiting) => waiting.life === life)
    this.#waiting = this.#waiting.filter((waiting) => waiting.life !== life)
    for (const { happenUnheard, label } of left) {
      if (happenUnheard === undefined || this.chance(0.5)) continue
      const readyAtMs = this.nowMs + (this.chance(0.5) ? 0 : this.whole(1, 3_000))
      this.#waiting.push({ label: `late ${label}`, life: null, readyAtMs, happen: happenUnheard })
    }
  }

  /** One step: a call or a timer, chosen by the seed. */
  async step(): Promise<void> {
    await settle(SETTLE_TURNS)
    this.steps += 1
    const ready = this.#waiting.filter(({ life, readyAtMs }) => readyAtMs <= this.nowMs && !this.#isPaused(life))
    if (ready.length > 0 && !this.chance(EXTRA_TIME_CHANCE)) {
      const chosen = this.pick(ready)
      this.remove(chosen)
      this.note(`${chosen.life?.name ?? "-"} ${chosen.label}`)
      chosen.happen()
    } else this.#moveTime()
  }

  /** Adds a line to what the hash is made of. */
  note(line: string): void {
    const whole = `${this.steps} @${this.nowMs} ${line}`
    this.#hash.update(`${whole}\n`)
    this.#recent.push(whole)
    if (this.#recent.length > STEPS_KEPT) this.#recent.shift()
  }

  get recent(): readonly string[] {
    return this.#recent
  }

  /** @returns the hash of everything that happened, in hex. To be called once, at the end. */
  digest(): string {
    return this.#hash.digest("hex")
  }

  #isPaused(life: Life | null): boolean {
    return life !== null && life.pausedUntilMs > this.nowMs
  }

  #moveTime(): void {
    let timer: Timer | undefined
    for (const other of this.#timers)
      if (!this.#isPaused(other.life) && (timer === undefined || other.atMs < timer.atMs)) timer = other
    let readyAtMs = Number.POSITIVE_INFINITY
    for (const waiting of this.#waiting)
      if (waiting.readyAtMs > this.nowMs) readyAtMs = Math.min(readyAtMs, waiting.readyAtMs)
    if (timer !== undefined && timer.atMs <= readyAtMs) {
      this.#timers = this.#timers.filter((other) => other !== timer)
      this.nowMs = Math.max(this.nowMs, timer.atMs)
      this.note(`${timer.life?.name ?? "-"} timer`)
      timer.callback()
    } else if (readyAtMs < Number.POSITIVE_INFINITY) this.nowMs = readyAtMs
  }
}

export const settle = async (turns: number): Promise<void> => {
  for (let turn = 0; turn < turns; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
}
