import { Context, type Effect } from "effect"
import type { BerthError } from "../errors.ts"
import type { Lane } from "../words.ts"

/** "Look at this task": never the record of anything. */
export interface WakeUp {
  readonly pool: string
  readonly lane: Lane
  readonly taskId: string
  /** The epoch that was admitted; a wake-up of another epoch starts nothing. */
  readonly epoch: number
  /** Sequence of the admission. */
  readonly admission: number
}

/** A wake-up in a worker's hands. Unless acked or given back it comes back after the adapter's `ackWaitMs`. */
export interface Delivery {
  readonly wakeUp: WakeUp
  readonly ack: Effect.Effect<void, BerthError>
  /** Gives it back at once, for any worker. */
  readonly nak: Effect.Effect<void, BerthError>
}

/**
 * The queue of wake-ups. Guarantees, each a test in test/contract/queue.contract.ts:
 *
 *   Q1. At least once: a delivery that is neither acked nor given back is delivered again.
 *   Q2. At most one message per task: publishing again replaces nothing and adds nothing while one is there.
 *   Q3. `pull` serves lanes in order: no message of a lower lane while a higher one of that pool waits.
 *   Q4. An acked message is never delivered again, and its task may be published anew.
 *   Q5. `pull` returns at most `countMax` deliveries, and an empty list after `waitMs` when there is nothing.
 *   Q6. A message goes to one puller at a time, and pools do not mix.
 *   Q7. `withdraw` removes a task's message that nobody holds.
 *   Q8. `waiting` tells how many messages of a pool nobody holds, by lane.
 *
 * Not guaranteed: durability (the log can rebuild it), and order within a lane under redelivery.
 */
export class Queue extends Context.Service<
  Queue,
  {
    readonly publish: (wakeUps: readonly WakeUp[]) => Effect.Effect<void, BerthError>
    readonly pull: (pool: string, countMax: number, waitMs: number) => Effect.Effect<readonly Delivery[], BerthError>
    readonly withdraw: (wakeUp: Pick<WakeUp, "pool" | "lane" | "taskId">) => Effect.Effect<void, BerthError>
    readonly waiting: (pool: string) => Effect.Effect<Readonly<Record<Lane, number>>, BerthError>
  }
>()("core/ports/Queue") {}
