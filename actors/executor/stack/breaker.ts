/**
 * The circuit breaker around one backend: the shell of core/policy/breaker.ts.
 *
 *   K1. Whatever becomes of a call that passed (answer, refusal, throw, interrupt), its pass is settled exactly once.
 *   K2. Only BACKEND_UNAVAILABLE is a failure. Any other typed error is an answer, and so a sign of health;
 *       an interrupt or a defect says nothing.
 *   K3. A rejection makes no call, starts no timer and builds no error of its own: there may be very many.
 */
import { Effect, Exit } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import {
  admit,
  type BreakerLimits,
  type BreakerState,
  type CallVerdict,
  CLOSED,
  type Pass,
  settle,
} from "../../../core/policy/breaker.ts"
import type { Clock } from "../../../core/ports/clock.ts"
import type { Random } from "../../../core/ports/random.ts"
import type { CallLayer } from "./layer.ts"

/** What people and metrics see of a breaker. */
export interface BreakerView {
  readonly state: BreakerState["tag"]
  /** Times it went open in this process. */
  readonly openedTotal: number
  readonly rejectedTotal: number
  /** Time until the next probe may pass; null unless open. */
  readonly retryInMs: number | null
  /** Message of the failure that was counted last; null when there was none. */
  readonly lastFailure: string | null
}

export interface BreakerChange {
  readonly backend: string
  readonly from: BreakerState["tag"]
  readonly to: BreakerState["tag"]
  readonly atMs: number
  readonly lastFailure: string | null
}

export interface BreakerOptions {
  readonly backend: string
  readonly limits: BreakerLimits
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
}

export class Breaker {
  readonly #options: BreakerOptions
  readonly #listeners = new Set<(change: BreakerChange) => void>()
  #state: BreakerState = CLOSED
  #openedTotal = 0
  #rejectedTotal = 0
  #lastFailure: string | null = null
  #rejection: Effect.Effect<never, BerthError>

  constructor(options: BreakerOptions) {
    this.#options = options
    this.#rejection = this.#newRejection()
  }

  /** The layer. Calls that are rejected fail with BACKEND_UNAVAILABLE. */
  readonly layer: CallLayer = (inner) => (call, run) =>
    Effect.uninterruptibleMask((restore) => {
      const pass = this.#admit(call.deadlineMs)
      if (pass === null) return this.#rejection
      return Effect.onExit(restore(inner(call, run)), (exit) => {
        this.#settle(pass, exit)
        return Effect.void
      })
    })

  /**
   * The same answer at the door: while the breaker is open, no layer does any work for a call that cannot pass.
   * Such calls are counted here and observed nowhere.
   */
  readonly shed: CallLayer = (inner) => (call, run) =>
    Effect.suspend(() => {
      if (!this.#isResting()) return inner(call, run)
      this.#rejectedTotal++
      return this.#rejection
    })

  /** True while calls pass freely. */
  isClosed(): boolean {
    return this.#state.tag === "closed"
  }

  view(): BreakerView {
    const state = this.#state
    return {
      state: state.tag,
      openedTotal: this.#openedTotal,
      rejectedTotal: this.#rejectedTotal,
      retryInMs: state.tag === "open" ? Math.max(0, state.untilMonoMs - this.#options.clock.monoMs()) : null,
      lastFailure: this.#lastFailure,
    }
  }

  /** Tells every change of state, after it. Returns the way to stop listening. A listener returns at once and does not throw. */
  onChange(listener: (change: BreakerChange) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #isResting(): boolean {
    return this.#state.tag === "open" && this.#options.clock.monoMs() < this.#state.untilMonoMs
  }

  #admit(deadlineMs: number): Pass | null {
    const { limits, clock, random } = this.#options
    const admission = admit(limits, this.#state, deadlineMs, clock.monoMs(), random.next01())
    this.#become(admission.state)
    if (admission.pass === null) this.#rejectedTotal++
    return admission.pass
  }

  #settle(pass: Pass, exit: Exit.Exit<unknown, BerthError>): void {
    const { limits, clock, random } = this.#options
    const verdict = this.#judge(pass, exit)
    this.#become(settle(limits, this.#state, pass, verdict, clock.monoMs(), random.next01()))
  }

  /** K2. */
  #judge(pass: Pass, exit: Exit.Exit<unknown, BerthError>): CallVerdict {
    if (Exit.isSuccess(exit)) return "success"
    const error = failureOf(exit)
    if (error === null) return "ignored"
    if (error.code !== "BACKEND_UNAVAILABLE") return "success"
    if (pass.generation === this.#state.generation) this.#lastFailure = error.message
    return "failure"
  }

  #become(next: BreakerState): void {
    const from = this.#state
    this.#state = next
    if (from.tag === next.tag) return
    if (next.tag === "open") {
      this.#openedTotal++
      this.#rejection = this.#newRejection()
    }
    const { backend, clock } = this.#options
    const change = { backend, from: from.tag, to: next.tag, atMs: clock.nowMs(), lastFailure: this.#lastFailure }
    for (const listener of this.#listeners) listener(change)
  }

  /** One error for all rejections of an opening (K3). */
  #newRejection(): Effect.Effect<never, BerthError> {
    const why = this.#lastFailure === null ? "" : `; the last failure was: ${this.#lastFailure}`
    return Effect.fail(berthError("BACKEND_UNAVAILABLE", `${this.#options.backend} is left alone for a while${why}`))
  }
}

const failureOf = (exit: Exit.Failure<unknown, BerthError>): BerthError | null => {
  for (const reason of exit.cause.reasons) if (reason._tag === "Fail") return reason.error
  return null
}
