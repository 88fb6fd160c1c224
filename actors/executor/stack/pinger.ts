import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import type { Clock } from "../../../core/ports/clock.ts"
import type { EngineCall, Guard } from "../guard.ts"
import type { Breaker } from "./breaker.ts"

export interface PingLimits {
  /** Between two pings of a backend that is well. Default 5_000. */
  readonly everyMs: number
  /** Between two probes of a backend that is coming back. Default 100. */
  readonly probeEveryMs: number
  /** A ping without an answer after this long has failed. Default 2_000. */
  readonly deadlineMs: number
}

export const PING_LIMITS: PingLimits = { everyMs: 5_000, probeEveryMs: 100, deadlineMs: 2_000 }

/**
 * Asks the backend, through all its layers, whether it is there. So an engine that died is known before a task finds out,
 * and the probes that close an open breaker need no task either. One ping at a time.
 */
export class Pinger {
  readonly #ping: Effect.Effect<void>
  readonly #breaker: Breaker
  readonly #limits: PingLimits
  readonly #clock: Clock["Service"]
  #cancelTimer: () => void = () => undefined
  #isUnderWay = false
  #isClosed = false
  readonly #stopListening: () => void

  constructor(
    guard: Guard,
    ping: Effect.Effect<unknown, BerthError>,
    breaker: Breaker,
    limits: PingLimits,
    clock: Clock["Service"],
  ) {
    const call: EngineCall = { name: "ping", repeatable: false, deadlineMs: limits.deadlineMs, start: false }
    this.#ping = Effect.ignoreCause(guard(call, Effect.asVoid(ping)))
    this.#breaker = breaker
    this.#limits = limits
    this.#clock = clock
    this.#stopListening = breaker.onChange(() => this.#plan())
    this.#plan()
  }

  /** No ping begins after this. */
  close(): void {
    this.#isClosed = true
    this.#cancelTimer()
    this.#stopListening()
  }

  #plan(): void {
    this.#cancelTimer()
    if (this.#isClosed || this.#isUnderWay) return
    this.#cancelTimer = this.#clock.after(this.#waitMs(), () => this.#send())
  }

  #waitMs(): number {
    const view = this.#breaker.view()
    if (view.state === "closed") return this.#limits.everyMs
    return view.state === "open" ? (view.retryInMs ?? 0) : this.#limits.probeEveryMs
  }

  #send(): void {
    if (this.#isClosed || this.#isUnderWay) return
    this.#isUnderWay = true
    Effect.runFork(this.#ping).addObserver(() => {
      this.#isUnderWay = false
      this.#plan()
    })
  }
}
