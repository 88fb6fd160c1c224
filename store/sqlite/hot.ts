/**
 * What the process knows of tasks without asking the disk: last record and row, so that a turn on a hot task reads nothing.
 *
 *   H1. Only what is committed is here, and the newest of it; a task that is not here is on the disk alone.
 *   H2. Bounded in tasks and in bytes; the one that was not touched for longest goes first.
 */
import type { TaskRow } from "../../core/readmodel/row.ts"
import type { LogEntry } from "../../core/record.ts"

const TASKS_MAX = 16_384
const BYTES_MAX = 64 * 1024 * 1024

export interface HotTask {
  /** Last record of `t.<id>.s`, or null: nothing was ever appended there. */
  readonly last: LogEntry | null
  readonly row: TaskRow | null
  /** Stored size of the last record, for the bound. */
  readonly bytes: number
}

export class Hot {
  readonly #tasks = new Map<string, HotTask>()
  #bytes = 0

  /** What is known of a task; undefined: nothing. */
  get(taskId: string): HotTask | undefined {
    const task = this.#tasks.get(taskId)
    if (task === undefined) return undefined
    this.#tasks.delete(taskId)
    this.#tasks.set(taskId, task)
    return task
  }

  set(taskId: string, task: HotTask): void {
    this.delete(taskId)
    this.#tasks.set(taskId, task)
    this.#bytes += task.bytes
    while (this.#tasks.size > TASKS_MAX || this.#bytes > BYTES_MAX)
      this.delete(this.#tasks.keys().next().value as string)
  }

  delete(taskId: string): void {
    this.#bytes -= this.#tasks.get(taskId)?.bytes ?? 0
    this.#tasks.delete(taskId)
  }

  clear(): void {
    this.#tasks.clear()
    this.#bytes = 0
  }
}
