import type { Executors } from "../../core/ports/executor.ts"
import type { Queue } from "../../core/ports/queue.ts"
import type { DirectWakeUp, DrainSignal, Signals } from "../../core/ports/signals.ts"
import type { Command } from "../../core/task/decide.ts"
import type { TaskSpec } from "../../core/task/spec.ts"
import type { Programs } from "../programs.ts"
import type { Deps } from "./held.ts"

/** What is sent on a worker's subject. */
export type WorkerSignal = Command | DirectWakeUp | DrainSignal

export interface WorkerOptions {
  readonly name: string
  readonly pool: string
  readonly slots: number
  readonly overdueMs: number
  readonly outputFlushMs: number
  readonly executors: Executors["Service"]
  readonly queue: Queue["Service"]
  readonly signals: Signals["Service"]
  readonly programs: Programs["Service"]
  readonly deps: Deps
  /** Whether this worker has what a task requires; one that it has not is for another. */
  readonly meets: (spec: TaskSpec) => boolean
  /** The worker cannot go on; its parent starts another one. */
  readonly onEscalate: (reason: string) => void
  readonly onCrash: (taskId: string, error: unknown) => void
}
