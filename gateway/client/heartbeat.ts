import type { Timing } from "./timing.ts"

/**
 * Notices a peer that has gone without saying so. After `idleMs` without a sign of life it asks for one; after as long
 * again without an answer the peer counts as dead.
 */
export class Heartbeat {
  readonly #timing: Timing
  readonly #idleMs: number
  readonly #probe: () => void
  readonly #dead: () => void
  #cancel: (() => void) | null = null
  #seenMonoMs = 0
  #probed = false

  constructor(timing: Timing, idleMs: number, probe: () => void, dead: () => void) {
    this.#timing = timing
    this.#idleMs = idleMs
    this.#probe = probe
    this.#dead = dead
  }

  start(): void {
    this.stop()
    this.alive()
    this.#arm(this.#idleMs)
  }

  /** Cheap enough for every frame: it moves no timer. */
  alive(): void {
    this.#seenMonoMs = this.#timing.monoMs()
    this.#probed = false
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  #arm(ms: number): void {
    this.#cancel = this.#timing.after(ms, () => this.#look())
  }

  #look(): void {
    const silentMs = this.#timing.monoMs() - this.#seenMonoMs
    if (silentMs < this.#idleMs) {
      this.#arm(this.#idleMs - silentMs)
      return
    }
    if (this.#probed) {
      this.stop()
      this.#dead()
      return
    }
    this.#probed = true
    this.#arm(this.#idleMs)
    this.#probe()
  }
}
