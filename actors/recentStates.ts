/**
 * What this process last saw of tasks that are under way. It may be old: whoever writes on it does so under the version that
 * it was seen with, and is refused when it was.
 */
import type { Seq } from "../core/record.ts"
import type { TaskState } from "../core/task/state.ts"
import { isAtRest } from "../core/words.ts"

const TASKS_MAX = 2_000

export interface Seen {
  readonly state: TaskState
  readonly seq: Seq
}

export class RecentStates {
  readonly #seen = new Map<string, Seen>()

  get(taskId: string): Seen | null {
    return this.#seen.get(taskId) ?? null
  }

  /** The newest is kept, and of a task at rest nothing. */
  note(seen: Seen): void {
    const { id, status } = seen.state
    const before = this.#seen.get(id)
    if (before !== undefined && before.seq > seen.seq) return
    this.#seen.delete(id)
    if (isAtRest(status)) return
    this.#seen.set(id, seen)
    if (this.#seen.size <= TASKS_MAX) return
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest)
      return
    }
  }

  forget(taskId: string): void {
    this.#seen.delete(taskId)
  }
}
