import type { MethodResult } from "../protocol/methods.ts"
import type { Calls, CallOptions } from "./calls.ts"
import { TaskList, type TaskQuery } from "./taskList.ts"

/** Tasks that came to rest in `failed` or `timeout`. */
export class DeadLetters {
  readonly #calls: Calls

  constructor(calls: Calls) {
    this.#calls = calls
  }

  /** Newest first. */
  list(query: Pick<TaskQuery, "labels" | "rowsMax" | "cursor"> = {}, options: CallOptions = {}): TaskList {
    const { cursor: first, ...rest } = query
    const fetch = (cursor: string | undefined) =>
      this.#calls.call(
        "dlq.list",
        { ...rest, ...this.#calls.minSeq(), ...(cursor === undefined ? {} : { cursor }) },
        options,
      )
    return new TaskList(fetch, first)
  }

  /** Gives each of these one more attempt; says which could not have one, and why. Never sent twice. */
  async requeue(
    ids: string | readonly string[],
    options: CallOptions = {},
  ): Promise<Pick<MethodResult<"dlq.requeue">, "requeued" | "failed">> {
    const params = typeof ids === "string" ? { id: ids } : { ids }
    const { requeued, failed } = await this.#calls.call("dlq.requeue", params, options)
    return { requeued, failed }
  }
}
