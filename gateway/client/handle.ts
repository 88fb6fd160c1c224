import { berthError } from "../../core/errors.ts"
import type { Lane, OutputStream } from "../../core/words.ts"
import type { Task } from "../protocol/task.ts"
import type { CallOptions } from "./calls.ts"
import type { GapEvent, OutputEvent, TaskEvent } from "./events.ts"
import { outcomeOf, type TaskOutcome } from "./outcome.ts"
import type { RestWaiter } from "./restWaiter.ts"

export interface WatchOptions {
  /** Show what comes after this sequence. Default 0: everything. */
  readonly fromSeq?: number
  /** False: only what the log holds already, also of a task that goes on; the last event is `end` only if it is at rest. Default true. */
  readonly follow?: boolean
  readonly signal?: AbortSignal
}

/** Opens a watch of one task; `seen` is told of every event before the reader is. */
export type TaskWatch = (
  options: WatchOptions,
  seen: (event: TaskEvent) => void,
) => AsyncIterableIterator<TaskEvent, undefined>

/** Changes of a task that its owner may ask for. */
export interface TaskChange {
  /** While the task is pending. */
  readonly lane?: Lane
  /** All labels, in place of the old ones. */
  readonly labels?: Readonly<Record<string, string>>
}

/** What a handle asks of the client that made it. */
export interface TaskCalls {
  readonly get: (id: string, options: CallOptions) => Promise<Task>
  readonly cancel: (id: string, options: CallOptions) => Promise<Task>
  readonly kill: (id: string, options: CallOptions) => Promise<Task>
  readonly retry: (id: string, options: CallOptions) => Promise<Task>
  readonly update: (id: string, change: TaskChange, options: CallOptions) => Promise<Task>
  readonly delete: (id: string, options: CallOptions) => Promise<void>
  readonly artifact: (id: string, path: string, options: { readonly signal?: AbortSignal }) => Promise<Uint8Array>
}

/** One task, wherever it runs. Nothing is held on the server for it. */
export class TaskHandle {
  readonly id: string
  /** True when the idempotency key of this submit was seen before: this is the first task. */
  readonly duplicate: boolean
  readonly #client: TaskCalls
  readonly #watch: TaskWatch
  readonly #waiter: RestWaiter
  #known: Task | null

  constructor(
    client: TaskCalls,
    watch: TaskWatch,
    waiter: RestWaiter,
    id: string,
    known: Task | null,
    duplicate: boolean,
  ) {
    this.id = id
    this.duplicate = duplicate
    this.#client = client
    this.#watch = watch
    this.#waiter = waiter
    this.#known = known
  }

  /** The task as this handle saw it last, or null before the first look. */
  get known(): Task | null {
    return this.#known
  }

  /** The task as it is now. */
  async get(options: CallOptions = {}): Promise<Task> {
    return this.#see(await this.#client.get(this.id, options))
  }

  /**
   * States, output and progress in the order of the log, live, until the task's end; for one reader. Goes on by itself
   * after a lost connection, without gap or repeat. Rejects with a BerthError, or with the signal's reason.
   */
  events(options: WatchOptions = {}): AsyncIterableIterator<TaskEvent, undefined> {
    return this.#watch(options, (event) => {
      if (event.type === "state") this.#see(event.task)
    })
  }

  /** What the program prints, with a `gap` where bytes were not kept; both streams, or one. Ends with the task. */
  async *output(
    options: WatchOptions & { readonly stream?: OutputStream } = {},
  ): AsyncGenerator<OutputEvent | GapEvent, undefined> {
    for await (const event of this.events(options)) {
      if (event.type !== "output" && event.type !== "gap") continue
      if (options.stream === undefined || options.stream === event.stream) yield event
    }
    return undefined
  }

  /** Waits until the task is at rest. A failed program is an outcome, not an error. */
  async result(options: { readonly signal?: AbortSignal } = {}): Promise<TaskOutcome> {
    const task = this.#see(await this.#waiter.wait(this.id, this.#known, options.signal))
    const outcome = outcomeOf(task)
    if (outcome === null) throw berthError("INTERNAL", `task ${this.id} was said to be at rest and is ${task.status}`)
    return outcome
  }

  /** Stops the program: SIGTERM, and SIGKILL after its grace period. Works in every phase. */
  async cancel(options: CallOptions = {}): Promise<Task> {
    return this.#see(await this.#client.cancel(this.id, options))
  }

  /** Stops the program at once. */
  async kill(options: CallOptions = {}): Promise<Task> {
    return this.#see(await this.#client.kill(this.id, options))
  }

  /** One more attempt for a failed or timed out task. Never sent twice. */
  async retry(options: CallOptions = {}): Promise<Task> {
    return this.#see(await this.#client.retry(this.id, options))
  }

  /** Changes labels, or the lane while the task is pending. */
  async update(change: TaskChange, options: CallOptions = {}): Promise<Task> {
    return this.#see(await this.#client.update(this.id, change, options))
  }

  /** Purges the task, which must be at rest, with output and artifacts. */
  delete(options: CallOptions = {}): Promise<void> {
    return this.#client.delete(this.id, options)
  }

  /** One file that the program left in /box/out. */
  artifact(path: string, options: { readonly signal?: AbortSignal } = {}): Promise<Uint8Array> {
    return this.#client.artifact(this.id, path, options)
  }

  #see(task: Task): Task {
    if (this.#known === null || task.seq >= this.#known.seq) this.#known = task
    return task
  }
}
