import type { AttemptResult, EffectivePolicy } from "./result.ts"
import type { Program, TaskSpec } from "./spec.ts"
import type { LeftPlace, StopRequest } from "./state.ts"
import type { Lane, Phase } from "../words.ts"

/** Where the program of a task is kept. */
export type ProgramRef = { readonly inline: Program } | { readonly blobKey: string; readonly sizeBytes: number }

/**
 * What happened to a task, as the log keeps it. A fact carries its outcome (next attempt, wake-up time, end), so the
 * reducer needs no policy and a later machine never rewrites history.
 */
export type TaskFact =
  | {
      readonly type: "submitted"
      readonly id: string
      readonly owner: string
      readonly spec: TaskSpec
      readonly program: ProgramRef
      readonly atMs: number
    }
  | {
      readonly type: "updated"
      readonly lane?: Lane
      readonly labels?: Readonly<Record<string, string>>
      readonly atMs: number
    }
  | {
      readonly type: "started"
      readonly epoch: number
      readonly attempt: number
      readonly worker: string
      readonly engineId: string | null
      /** Sequence of the admission on the control subject. */
      readonly admission: number
      readonly overdueAtMs: number
      /** Present when a lost attempt may still run on another engine. */
      readonly overlapPossible?: true
      readonly atMs: number
    }
  | {
      readonly type: "placed"
      readonly epoch: number
      readonly containerId: string
      readonly imageDigest: string | null
      readonly policy: EffectivePolicy | null
      readonly atMs: number
    }
  | { readonly type: "phased"; readonly epoch: number; readonly phase: Phase; readonly atMs: number }
  | { readonly type: "stopRequested"; readonly stop: StopRequest; readonly atMs: number }
  | {
      readonly type: "adopted"
      readonly epoch: number
      readonly worker: string
      readonly containerId: string | null
      readonly overdueAtMs: number
      readonly atMs: number
    }
  | {
      readonly type: "lost"
      readonly epoch: number
      readonly cause: LossCause
      readonly message: string
      readonly workerDeaths: number
      readonly overlapPossible: boolean
      readonly wakeAtMs: number | null
      readonly left?: LeftPlace
      readonly atMs: number
    }
  /** A delay has passed: the task may be admitted. */
  | { readonly type: "woken"; readonly atMs: number }
  | { readonly type: "ended"; readonly result: AttemptResult; readonly left?: LeftPlace; readonly atMs: number }
  | {
      readonly type: "retried"
      readonly attempt: number
      readonly maxAttempts: number
      readonly wakeAtMs: number | null
      /** `policy`, or the principal who asked. */
      readonly by: string
      /** Only where it changes: a person who asks for one more attempt takes the deaths before it for settled. */
      readonly workerDeaths?: number
      readonly atMs: number
    }

/** `worker`: its lease was revoked. `infrastructure`: the engine failed before or after the program; nobody's attempt is used up. `detached`: a planned restart. */
export type LossCause = "worker" | "infrastructure" | "detached"
