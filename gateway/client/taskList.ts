import type { Lane, Status } from "../../core/words.ts"
import type { Task } from "../protocol/task.ts"

/** Which tasks; all that is given must match. Times are epoch milliseconds. */
export interface TaskQuery {
  readonly statuses?: readonly Status[]
  readonly lanes?: readonly Lane[]
  /** Only dead letters. */
  readonly dead?: boolean
  readonly labels?: Readonly<Record<string, string>>
  /** For admins: only this owner's. */
  readonly owner?: string
  readonly submittedAfterMs?: number
  readonly submittedBeforeMs?: number
  /** At most so many rows in one page; of very large ones it has fewer. */
  readonly rowsMax?: number
  /** Where another page ended. */
  readonly cursor?: string
}

export interface TaskPage {
  readonly tasks: readonly Task[]
  /** Null after the last page. */
  readonly nextCursor: string | null
}

/** Tasks, newest first: one by one with `for await`, or in pages. Pages are fetched as they are read. */
export class TaskList implements AsyncIterable<Task> {
  readonly #fetch: (cursor: string | undefined) => Promise<TaskPage>
  readonly #cursor: string | undefined

  constructor(fetch: (cursor: string | undefined) => Promise<TaskPage>, cursor: string | undefined) {
    this.#fetch = fetch
    this.#cursor = cursor
  }

  async *pages(): AsyncGenerator<TaskPage, undefined> {
    let cursor = this.#cursor
    for (;;) {
      const page = await this.#fetch(cursor)
      yield page
      if (page.nextCursor === null) return undefined
      cursor = page.nextCursor
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Task, undefined> {
    for await (const page of this.pages()) yield* page.tasks
    return undefined
  }
}
