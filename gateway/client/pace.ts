import type { Timing } from "./timing.ts"

/**
 * How fast a client may talk: a bucket of `burst` messages that fills by `perSecond`. A polite client stays below what
 * the server takes, so that nothing is refused on the way.
 */
export class Pace {
  readonly #timing: Timing
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #seenMonoMs: number

  constructor(timing: Timing, perSecond: number, burst: number) {
    this.#timing = timing
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#seenMonoMs = timing.monoMs()
  }

  /** Takes one message; 0 when it may go now, else the milliseconds after which to ask again. */
  take(): number {
    const monoMs = this.#timing.monoMs()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((monoMs - this.#seenMonoMs) * this.#perSecond) / 1_000)
    this.#seenMonoMs = monoMs
    if (this.#tokens < 1) return Math.max(1, Math.ceil(((1 - this.#tokens) * 1_000) / this.#perSecond))
    this.#tokens -= 1
    return 0
  }

  /** A new connection starts with a full bucket. */
  refill(): void {
    this.#tokens = this.#burst
  }
}
