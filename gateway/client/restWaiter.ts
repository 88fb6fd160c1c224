/**
 * Waits for tasks to come to rest: one watch of all of one's own tasks serves any number of waiters, so that a thousand
 * results cost one subscription.
 *
 *   A1. From `coveredSeq` on, every task that came to rest is in `rested`, or its waiter has been told. Who knows a task
 *       as of a sequence below that asks the server once.
 *   A2. After an interruption each waiter's task is asked for once, so that one that was purged meanwhile is noticed.
 */
import { asBerthError } from "../../core/errors.ts"
import { isAtRest, type Status } from "../../core/words.ts"
import type { Task } from "../protocol/task.ts"
import type { TaskEvent } from "./events.ts"
import type { Timing } from "./timing.ts"
import { Watch } from "./watch.ts"
import type { WatchHub } from "./watchHub.ts"

interface Waiter {
  readonly taskId: string
  readonly resolve: (task: Task) => void
  readonly reject: (cause: unknown) => void
}

/** Most states on the way to an end are of no interest here, and reading each of them is dear. */
function isRest(wire: unknown): boolean {
  const status = (wire as { readonly task?: { readonly status?: Status } }).task?.status
  return status !== undefined && isAtRest(status)
}

/** Tasks at rest that are remembered for waiters who come late. */
const RESTED_MAX = 1_024
/** The watch outlives its last waiter by this much, for the next one. */
const LINGER_MS = 2_000

export class RestWaiter {
  readonly #hub: WatchHub
  readonly #timing: Timing
  readonly #get: (taskId: string) => Promise<Task>
  /** By task. */
  readonly #waiters = new Map<string, Set<Waiter>>()
  /** In the order of their ends. */
  readonly #rested = new Map<string, Task>()
  #watch: Watch | null = null
  #coveredSeq = 0
  #lives = 0
  #cancelLinger: (() => void) | null = null

  constructor(hub: WatchHub, timing: Timing, get: (taskId: string) => Promise<Task>) {
    this.#hub = hub
    this.#timing = timing
    this.#get = get
  }

  /** The task once it is at rest. `known` is the newest that the caller has seen of it, or null. */
  wait(taskId: string, known: Task | null, signal: AbortSignal | undefined): Promise<Task> {
    if (known !== null && isAtRest(known.status)) return Promise.resolve(known)
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const abort = () => waiter.reject(signal?.reason)
      const settle =
        <A>(how: (value: A) => void) =>
        (value: A): void => {
          if (!this.#remove(waiter)) return
          signal?.removeEventListener("abort", abort)
          how(value)
        }
      const waiter: Waiter = { taskId, resolve: settle(resolve), reject: settle(reject) }
      signal?.addEventListener("abort", abort, { once: true })
      this.#add(waiter)
      this.#cover(waiter, known)
    })
  }

  /** After the hub has ended, and with it the watch: waiters have been told, nothing lingers. */
  close(): void {
    this.#cancelLinger?.()
  }

  #add(waiter: Waiter): void {
    const others = this.#waiters.get(waiter.taskId)
    if (others === undefined) this.#waiters.set(waiter.taskId, new Set([waiter]))
    else others.add(waiter)
  }

  #remove(waiter: Waiter): boolean {
    const others = this.#waiters.get(waiter.taskId)
    if (others === undefined || !others.delete(waiter)) return false
    if (others.size === 0) this.#waiters.delete(waiter.taskId)
    if (this.#waiters.size === 0) this.#linger()
    return true
  }

  #all(): Waiter[] {
    return [...this.#waiters.values()].flatMap((waiters) => [...waiters])
  }

  #cover(waiter: Waiter, known: Task | null): void {
    this.#cancelLinger?.()
    this.#cancelLinger = null
    const fromSeq = known?.seq ?? null
    if (this.#watch === null) this.#start(fromSeq ?? this.#hub.seq)
    if (fromSeq === null || fromSeq < this.#coveredSeq) {
      void this.#ask(waiter, false)
      return
    }
    const rested = this.#rested.get(waiter.taskId)
    if (rested !== undefined && rested.seq > fromSeq) waiter.resolve(rested)
  }

  #start(fromSeq: number): void {
    this.#coveredSeq = fromSeq
    this.#rested.clear()
    this.#lives = 0
    this.#watch = new Watch(
      this.#hub,
      this.#timing,
      { taskId: null, fromSeq, waits: true },
      {
        event: (event) => this.#event(event),
        finished: () => this.#failed(asBerthError(new Error("the server ended the watch of all tasks"))),
        failed: (error) => this.#failed(error),
        live: () => this.#live(),
        wants: isRest,
      },
    )
    this.#watch.begin()
  }

  #event(event: TaskEvent): void {
    if (event.type !== "state" || !isAtRest(event.task.status)) return
    // Set anew, so that the map's order is that of the ends.
    this.#rested.delete(event.taskId)
    this.#rested.set(event.taskId, event.task)
    if (this.#rested.size > RESTED_MAX) this.#forgetOldest()
    for (const waiter of [...(this.#waiters.get(event.taskId) ?? [])]) waiter.resolve(event.task)
  }

  #forgetOldest(): void {
    for (const [taskId, task] of this.#rested) {
      this.#rested.delete(taskId)
      this.#coveredSeq = Math.max(this.#coveredSeq, task.seq)
      return
    }
  }

  #live(): void {
    this.#lives += 1
    if (this.#lives > 1) void this.#askAll()
  }

  /** One after the other: it is a precaution, and others have calls to make (A2). */
  async #askAll(): Promise<void> {
    for (const waiter of this.#all()) await this.#ask(waiter, true)
  }

  /** @param watched - the watch will tell anyway, so that an error which may pass can be left alone */
  async #ask(waiter: Waiter, watched: boolean): Promise<void> {
    try {
      const task = await this.#get(waiter.taskId)
      if (isAtRest(task.status)) waiter.resolve(task)
    } catch (cause) {
      const error = asBerthError(cause)
      if (!watched || !error.retryable) waiter.reject(error)
    }
  }

  #failed(error: unknown): void {
    this.#watch = null
    for (const waiter of this.#all()) waiter.reject(error)
  }

  #linger(): void {
    if (this.#watch === null) return
    this.#cancelLinger = this.#timing.after(LINGER_MS, () => {
      this.#watch?.stop()
      this.#watch = null
    })
  }
}
