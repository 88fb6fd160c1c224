/** The rows that this process wrote last, of tasks under way: who is the only writer need not read them again to fold on. */
import type { TaskRow } from "../../core/readmodel/row.ts"
import { isAtRest } from "../../core/words.ts"

const ROWS_MAX = 2_000

export class RecentRows {
  readonly #rows = new Map<string, TaskRow>()

  get(taskId: string): TaskRow | undefined {
    return this.#rows.get(taskId)
  }

  /** After the commit. Null: the row went away. */
  note(taskId: string, row: TaskRow | null): void {
    this.#rows.delete(taskId)
    if (row === null || isAtRest(row.state.status)) return
    this.#rows.set(taskId, row)
    if (this.#rows.size <= ROWS_MAX) return
    for (const oldest of this.#rows.keys()) {
      this.#rows.delete(oldest)
      return
    }
  }
}
