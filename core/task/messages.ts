import type { AttemptResult, EffectivePolicy } from "./result.ts"
import type { LossCause } from "./facts.ts"
import type { EndReason, Lane, Phase } from "../words.ts"

/** Time and chance that a decision may need; the machine itself has neither clock nor dice. */
interface Now {
  readonly nowMs: number
}
interface Chance {
  /** In [0, 1). */
  readonly jitter01: number
}

/** What may be asked of a task. The machine accepts or refuses it; an accepted one becomes facts. */
export type TaskMessage =
  | ({ readonly type: "update"; readonly lane?: Lane; readonly labels?: Readonly<Record<string, string>> } & Now)
  | ({
      readonly type: "start"
      /** The epoch that the admission named; anything but the next one is refused. */
      readonly epoch: number
      readonly worker: string
      readonly engineId: string | null
      readonly admission: number
      /** Added to the time limit before the leader calls the attempt overdue. */
      readonly overdueMs: number
    } & Now)
  | ({
      readonly type: "place"
      readonly epoch: number
      readonly containerId: string
      readonly imageDigest: string | null
      readonly policy: EffectivePolicy | null
    } & Now)
  | ({
      readonly type: "phase"
      readonly epoch: number
      readonly phase: Extract<Phase, "running" | "stopping" | "collecting" | "fenced">
    } & Now)
  | ({
      readonly type: "adopt"
      /** The epoch that is taken over; the adopter's own is one more. */
      readonly epoch: number
      readonly worker: string
      readonly containerId: string | null
      readonly overdueMs: number
    } & Now)
  | ({
      readonly type: "exit"
      readonly epoch: number
      readonly result: AttemptResult
      /** True when the end was not seen: what ran may still be there. */
      readonly left?: boolean
    } & Now &
      Chance)
  | ({
      readonly type: "lose"
      readonly epoch: number
      readonly cause: LossCause
      readonly message: string
      readonly overlapPossible: boolean
      /** True when nobody has seen the end of what ran: unless it was never fed, it may still be there. */
      readonly left?: boolean
    } & Now &
      Chance)
  /** No attempt can run: the task fails for good, or while it waits past its `startByMs`. */
  | ({
      readonly type: "refuse"
      readonly reason: Extract<EndReason, "refused" | "expired" | "quarantined">
      readonly message: string
    } & Now)
  /** The delay that ends at `wakeAtMs` has passed. */
  | ({ readonly type: "wake"; readonly wakeAtMs: number } & Now)
  | ({ readonly type: "cancel"; readonly mode: "cancel" | "kill"; readonly by: string } & Now)
  | ({ readonly type: "retry"; readonly by: string } & Now)

export type TaskMessageType = TaskMessage["type"]
