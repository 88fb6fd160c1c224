/**
 * How wake-ups leave the leader: into the queue of their pool, or straight to a worker, where not every worker of the pool
 * could use them. The second way may lose them; what was not started is sent again.
 */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { creditsOf, Placing } from "../../core/policy/credit.ts"
import { routeOf } from "../../core/policy/route.ts"
import type { SlotFold } from "../../core/policy/slots.ts"
import type { Queue, WakeUp } from "../../core/ports/queue.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import { type DirectWakeUp, type Signals, workerSubject } from "../../core/ports/signals.ts"
import type { WorkerInfo } from "../../core/ports/workers.ts"

export interface AddressedWakeUp {
  readonly wakeUp: WakeUp
  /** Null: for whoever pulls it. */
  readonly worker: string | null
}

export interface WakeUpsDeps {
  readonly queue: Queue["Service"]
  readonly signals: Signals["Service"]
  readonly readModel: ReadModel["Service"]
  readonly slots: SlotFold
  readonly lookahead: number
}

export class WakeUps {
  readonly #deps: WakeUpsDeps
  readonly #sentTo = new Map<string, string>()

  constructor(deps: WakeUpsDeps) {
    this.#deps = deps
  }

  /** Where tasks of a pool may go now, when these workers take work there. */
  placing(pool: string, workers: readonly WorkerInfo[]): Placing {
    const { lookahead, slots } = this.#deps
    const held = [...slots.all()].filter((slot) => slot.pool === pool)
    return new Placing(
      workers,
      held.map(({ taskId, worker }) => ({ worker: worker ?? this.#sentTo.get(taskId) ?? null })),
      lookahead,
    )
  }

  send(all: readonly AddressedWakeUp[]): Effect.Effect<void, BerthError> {
    const pulled = all.filter(({ worker }) => worker === null).map(({ wakeUp }) => wakeUp)
    const direct = all.flatMap(({ wakeUp, worker }) => (worker === null ? [] : [{ wakeUp, worker }]))
    return Effect.andThen(
      pulled.length === 0 ? Effect.void : this.#deps.queue.publish(pulled),
      Effect.forEach(direct, ({ wakeUp, worker }) => this.#sendTo(worker, wakeUp), { discard: true }),
    )
  }

  /** Everything that is admitted and not started. */
  again(workers: readonly WorkerInfo[]): Effect.Effect<void, BerthError> {
    const { lookahead, readModel, slots } = this.#deps
    return Effect.gen({ self: this }, function* () {
      const waiting = [...slots.all()].filter(({ running }) => !running)
      this.#forgetOthers(new Set(waiting.map(({ taskId }) => taskId)))
      const credits = creditsOf(workers, lookahead)
      const placings = new Map<string, Placing>()
      const wakeUps: AddressedWakeUp[] = []
      for (const { admission, epoch, pool, taskId } of waiting) {
        const row = yield* readModel.get(taskId)
        if (row?.state.status !== "pending") continue
        const placing = placings.get(pool) ?? this.placing(pool, credits.get(pool)?.workers ?? [])
        placings.set(pool, placing)
        const wakeUp = { pool, lane: row.state.spec.lane, taskId, epoch, admission }
        wakeUps.push({ wakeUp, worker: placing.place(routeOf(row.state.spec)) })
      }
      yield* this.send(wakeUps)
    })
  }

  #sendTo(worker: string, wakeUp: WakeUp): Effect.Effect<void> {
    this.#sentTo.set(wakeUp.taskId, worker)
    const signal: DirectWakeUp = { type: "wakeUp", wakeUp }
    return Effect.ignore(this.#deps.signals.publish(workerSubject(worker), signal))
  }

  #forgetOthers(taskIds: ReadonlySet<string>): void {
    for (const taskId of this.#sentTo.keys()) if (!taskIds.has(taskId)) this.#sentTo.delete(taskId)
  }
}
