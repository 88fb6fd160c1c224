import type { Effect } from "effect"
import type { Blobs } from "../../core/ports/blobs.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import type { ExecutorShape, Job, Placement } from "../../core/ports/executor.ts"
import type { Failpoints } from "../../core/ports/failpoints.ts"
import type { Random } from "../../core/ports/random.ts"
import type { AttemptResult } from "../../core/task/result.ts"
import type { TaskState } from "../../core/task/state.ts"
import type { LossCause } from "../../core/task/facts.ts"
import type { OutputStream } from "../../core/words.ts"
import type { OutputWriter } from "../output.ts"
import type { Turns } from "../turns.ts"

/** What every attempt of a worker shares. */
export interface Deps {
  readonly turns: Turns["Service"]
  readonly log: EventLog["Service"]
  readonly blobs: Blobs["Service"]
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  readonly failpoints: Failpoints["Service"]
  readonly metrics: AttemptMetrics
  /** Resolves while the worker may let programs run. */
  readonly fenceOpen: Effect.Effect<void>
  /** False while the worker's lease is not trusted: nothing is pulled, started or fed, and what runs stands still. */
  readonly isFenceOpen: () => boolean
  readonly sha256: (bytes: Uint8Array) => string
}

export interface AttemptMetrics {
  /** An attempt's `started` is durable. */
  readonly started: (state: TaskState, nowMs: number) => void
  readonly ended: (result: AttemptResult) => void
  readonly lost: (cause: LossCause) => void
}

/** One attempt in this worker's hands, from its `started` or `adopted` record on. */
export interface Held {
  readonly job: Job
  readonly executor: ExecutorShape
  readonly output: OutputWriter
  /** The fence: everything this attempt writes carries it. */
  readonly epoch: number
  readonly startedAtMs: number
  readonly overlapPossible: boolean
  /** Beyond time limit and grace, until it is looked whether somebody else has ended the attempt. */
  readonly overdueMs: number
  /** Durable bytes of each stream when this holder took over; 0 unless adopted. */
  readonly offsets: Readonly<Record<OutputStream, number>>
  /** The place, once there is one. */
  place: Placement | null
}
