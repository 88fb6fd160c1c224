/**
 * A fixed number of slots, and a bounded line of those who wait for one. Whoever fails inside, hangs or is interrupted
 * takes down nothing outside.
 *
 *   L1. At most `slots` effects run at once; at most `waitingMax` wait, first come, first served; more fail with OVERLOADED.
 *   L2. Only the wait is timed: beyond `waitMsMax` it fails with OVERLOADED; what runs is left alone.
 *   L3. A ticket is closed in exactly one place, whatever became of its holder, so no slot leaks.
 *   L4. What was interrupted while it waited never runs.
 */
import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { Clock } from "../../../core/ports/clock.ts"

export interface BulkheadLimits {
  readonly slots: number
  readonly waitingMax: number
  readonly waitMsMax: number
}

interface Ticket {
  hasSlot: boolean
  /** Set while the holder is suspended in the line. */
  onSlot: (() => void) | null
}

export class Bulkhead {
  readonly #name: string
  readonly #limits: BulkheadLimits
  readonly #clock: Clock["Service"]
  readonly #line = new Set<Ticket>()
  #inUse = 0

  constructor(name: string, limits: BulkheadLimits, clock: Clock["Service"]) {
    this.#name = name
    this.#limits = limits
    this.#clock = clock
  }

  inUse(): number {
    return this.#inUse
  }

  waiting(): number {
    return this.#line.size
  }

  /** Runs the effect in a slot, once there is one. Fails with OVERLOADED when the line is full or the wait too long. */
  hold<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | BerthError, R> {
    return Effect.uninterruptibleMask((restore): Effect.Effect<A, E | BerthError, R> => {
      const ticket = this.#take()
      if (ticket === null) return Effect.fail(this.#full())
      const held = ticket.hasSlot ? restore(effect) : Effect.andThen(restore(this.#turn(ticket)), restore(effect))
      return Effect.onExit(held, () => Effect.sync(() => this.#close(ticket)))
    })
  }

  #take(): Ticket | null {
    if (this.#inUse < this.#limits.slots && this.#line.size === 0) {
      this.#inUse++
      return { hasSlot: true, onSlot: null }
    }
    if (this.#line.size >= this.#limits.waitingMax) return null
    const ticket: Ticket = { hasSlot: false, onSlot: null }
    this.#line.add(ticket)
    return ticket
  }

  #turn(ticket: Ticket): Effect.Effect<void, BerthError> {
    return Effect.callback<void, BerthError>((resume) => {
      if (ticket.hasSlot) return resume(Effect.void)
      const { waitMsMax } = this.#limits
      const cancel = this.#clock.after(waitMsMax, () => {
        ticket.onSlot = null
        resume(Effect.fail(berthError("OVERLOADED", `${this.#name}: no slot became free within ${waitMsMax} ms`)))
      })
      ticket.onSlot = () => {
        cancel()
        resume(Effect.void)
      }
      return Effect.sync(cancel)
    })
  }

  /** L3: gives back the slot, or the place in the line. A slot that is handed on was never free. */
  #close(ticket: Ticket): void {
    if (!ticket.hasSlot) {
      this.#line.delete(ticket)
      return
    }
    const next = this.#line.values().next().value
    if (next === undefined) {
      this.#inUse--
      return
    }
    this.#line.delete(next)
    next.hasSlot = true
    next.onSlot?.()
  }

  #full(): BerthError {
    const { slots, waitingMax } = this.#limits
    return berthError("OVERLOADED", `${this.#name}: all ${slots} slots are taken and ${waitingMax} are waiting`)
  }
}
