import type { MethodResult } from "../protocol/methods.ts"
import type { Calls, CallOptions } from "./calls.ts"

/** One worker, as it tells of itself. */
export type WorkerEntry = MethodResult<"worker.list">["workers"][number]

/** Who runs programs. */
export class WorkerEntries {
  readonly #calls: Calls

  constructor(calls: Calls) {
    this.#calls = calls
  }

  async list(options: CallOptions = {}): Promise<readonly WorkerEntry[]> {
    return (await this.#calls.call("worker.list", {}, options)).workers
  }

  /**
   * It starts nothing more; what it holds goes on to its end. For admins.
   *
   * @param options.undo - it takes work again
   */
  async drain(worker: string, options: CallOptions & { readonly undo?: boolean } = {}): Promise<WorkerEntry> {
    const { undo, ...rest } = options
    const params = { worker, ...(undo === undefined ? {} : { undo }) }
    return (await this.#calls.call("worker.drain", params, rest)).worker
  }
}
