import { Context, type Effect, type Scope } from "effect"
import type { BerthError } from "../errors.ts"
import type { WakeUp } from "./queue.ts"

/**
 * Fast, lossy hints; what must not be lost is in the log. Guarantees, each a test in test/contract/signals.contract.ts:
 *
 *   S1. A signal reaches every live subscription of its subject at most once, and usually once.
 *   S2. A slow or failing subscriber delays nobody; beyond its bound it loses signals.
 *   S3. Closing the scope of a subscription ends it.
 *
 * Not guaranteed: delivery, order.
 */
export class Signals extends Context.Service<
  Signals,
  {
    readonly publish: (subject: string, payload: unknown) => Effect.Effect<void, BerthError>
    readonly subscribe: (
      subject: string,
      onSignal: (payload: unknown) => void,
    ) => Effect.Effect<void, BerthError, Scope.Scope>
  }
>()("core/ports/Signals") {}

/** A wake-up for one worker alone: sent on its subject, lossy like all signals. */
export interface DirectWakeUp {
  readonly type: "wakeUp"
  readonly wakeUp: WakeUp
}

/** Asks a worker to start nothing more, or to go on. */
export interface DrainSignal {
  readonly type: "drain"
  readonly draining: boolean
}

export const workerSubject = (worker: string): string => `worker.${worker}`
/** Changes of backends, of every node. */
export const BACKENDS_SUBJECT = "backends"
/** Says that the leader's lease may be free. */
export const LEADER_SUBJECT = "leader"
export const liveOutputSubject = (taskId: string): string => `live.${taskId}`
