import type { Executors } from "../../core/ports/executor.ts"
import type { Queue } from "../../core/ports/queue.ts"
import type { Signals } from "../../core/ports/signals.ts"
import type { Programs } from "../programs.ts"
import type { Deps } from "./held.ts"

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
  /** The worker cannot go on; its parent starts another one. */
  readonly onEscalate: (reason: string) => void
  /** False while the worker's lease is not trusted: nothing is pulled or started. */
  readonly isFenceOpen: () => boolean
  readonly onCrash: (taskId: string, error: unknown) => void
}
