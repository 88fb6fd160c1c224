/**
 * Whether a worker's programs run only while it has the right (I9), said of the store and the engines and of nobody's opinion.
 *
 *   RI1. A right ends a lease after the last renewal was sent that the store took; how long its answer was under way adds nothing.
 *   RI2. A process that goes on after it stood still has a moment to look at the clock, and no more.
 */
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Lease, Leases } from "../../core/ports/leases.ts"
import { WORKER_LEASES, workerOfLease } from "../../core/workerLease.ts"
import type { Calls, Fault } from "./calls.ts"
import type { Engine, Place } from "./engine.ts"
import type { Invariants } from "./invariants.ts"
import type { Life, Schedule } from "./schedule.ts"

/** Less than the time between two renewals: a worker that was told of its loss by the next one was too late. */
const MOMENT_MS = 600
const WRITE: readonly Fault[] = ["refused", "replyLost", "delayed"]
const READ: readonly Fault[] = ["refused", "delayed"]

/** Within what a worker waits for an answer. */
const ANSWER_MS_MAX = 900

const CUT = berthError("STORE_UNAVAILABLE", "cut off")

export class Rights {
  readonly #schedule: Schedule
  readonly #invariants: Invariants
  readonly #leaseMs: number
  readonly #untilMs = new Map<string, number>()

  constructor(schedule: Schedule, invariants: Invariants, leaseMs: number) {
    this.#schedule = schedule
    this.#invariants = invariants
    this.#leaseMs = leaseMs
  }

  /** Leases as one life sees them. While it is cut off, nothing of it reaches the store. */
  leasesOf({ call, life }: Calls, leases: Leases["Service"]): Leases["Service"] {
    const isCut = (): boolean => life.cutUntilMs > this.#schedule.nowMs
    const sent = <A>(what: string, effect: Effect.Effect<A, BerthError>, faults: readonly Fault[]) =>
      Effect.suspend(() =>
        isCut() ? call(`cut ${what}`, Effect.fail(CUT), []) : call(`lease ${what}`, effect, faults),
      )
    const write = (what: string, effect: Effect.Effect<Lease, BerthError>) =>
      Effect.suspend(() => {
        const sentMs = this.#schedule.nowMs
        const taken = Effect.tap(effect, (lease) => Effect.sync(() => this.#renewed(lease, sentMs)))
        return Effect.tap(sent(what, taken, WRITE), this.#onTheWay(what, life))
      })
    return {
      acquire: (name, holder, data) => {
        if (name.startsWith(WORKER_LEASES)) this.#invariants.actsAs(life, holder)
        return write(`acquire ${name}`, leases.acquire(name, holder, data))
      },
      renew: (lease, data) => write(`renew ${lease.name}`, leases.renew(lease, data)),
      revoke: (lease) => sent(`revoke ${lease.name}`, leases.revoke(lease), WRITE),
      release: (lease) => sent(`release ${lease.name}`, leases.release(lease), WRITE),
      read: (name) => sent(`read ${name}`, leases.read(name), READ),
      list: (prefix) => sent(`list ${prefix}`, leases.list(prefix), READ),
    }
  }

  /** RI1 and RI2, after a step. */
  check(engines: readonly Engine[]): void {
    for (const engine of engines) for (const place of engine.places.values()) this.#checkPlace(place)
  }

  #checkPlace({ id, isPaused, keeper: { life, worker }, state }: Place): void {
    if (state !== "running" || isPaused || isStill(life, this.#schedule.nowMs)) return
    const endedMs = Math.max(this.#untilMs.get(worker) ?? 0, life.pausedUntilMs)
    const lateMs = this.#schedule.nowMs - endedMs
    if (lateMs > MOMENT_MS) this.#invariants.fail(`I9: ${id} runs ${lateMs} ms after the lease of ${worker} ended`)
  }

  /** An answer takes its time: in it a process may stand still, and then hear of what was long ago. */
  #onTheWay(what: string, life: Life): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.#schedule.chance(0.5)) return resume(Effect.void)
      const readyAtMs = this.#schedule.nowMs + this.#schedule.whole(1, ANSWER_MS_MAX)
      this.#schedule.add({ label: `answer ${what}`, life, readyAtMs, happen: () => resume(Effect.void) })
    })
  }

  #renewed(lease: Lease, sentMs: number): void {
    if (!lease.name.startsWith(WORKER_LEASES)) return
    const worker = workerOfLease(lease)
    this.#untilMs.set(worker, Math.max(this.#untilMs.get(worker) ?? 0, sentMs + this.#leaseMs))
  }
}

const isStill = (life: Life, nowMs: number): boolean => life.isOver || life.pausedUntilMs > nowMs
