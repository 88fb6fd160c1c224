/**
 * How wake-ups leave the leader: into the queue of their pool, or straight to a worker, where not every worker of the pool
 * could use them. The second way may lose them; the reconciler sends again what has not been started.
 */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Queue, WakeUp } from "../../core/ports/queue.ts"
import { type DirectWakeUp, type Signals, workerSubject } from "../../core/ports/signals.ts"
import type { HeldSlot } from "../../core/policy/slots.ts"

export interface AddressedWakeUp {
  readonly wakeUp: WakeUp
  /** Null: for whoever pulls it. */
  readonly worker: string | null
}

export class WakeUps {
  readonly #queue: Queue["Service"]
  readonly #signals: Signals["Service"]
  readonly #sentTo = new Map<string, string>()

  constructor(queue: Queue["Service"], signals: Signals["Service"]) {
    this.#queue = queue
    this.#signals = signals
  }

  send(all: readonly AddressedWakeUp[]): Effect.Effect<void, BerthError> {
    const pulled = all.filter(({ worker }) => worker === null).map(({ wakeUp }) => wakeUp)
    const direct = all.flatMap(({ wakeUp, worker }) => (worker === null ? [] : [{ wakeUp, worker }]))
    return Effect.andThen(
      pulled.length === 0 ? Effect.void : this.#queue.publish(pulled),
      Effect.forEach(direct, ({ wakeUp, worker }) => this.#sendTo(worker, wakeUp), { discard: true }),
    )
  }

  /** Every slot with the worker that has it, or that was told of it. */
  addressed(held: Iterable<HeldSlot>): readonly Pick<HeldSlot, "worker">[] {
    const slots = [...held]
    const waiting = new Set(slots.filter(({ running }) => !running).map(({ taskId }) => taskId))
    for (const taskId of this.#sentTo.keys()) if (!waiting.has(taskId)) this.#sentTo.delete(taskId)
    return slots.map(({ taskId, worker }) => ({ worker: worker ?? this.#sentTo.get(taskId) ?? null }))
  }

  #sendTo(worker: string, wakeUp: WakeUp): Effect.Effect<void> {
    this.#sentTo.set(wakeUp.taskId, worker)
    const signal: DirectWakeUp = { type: "wakeUp", wakeUp }
    return Effect.ignore(this.#signals.publish(workerSubject(worker), signal))
  }
}
