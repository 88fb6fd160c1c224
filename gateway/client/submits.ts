import { asBerthError, type BerthError } from "../../core/errors.ts"
import type { SubmitRequest } from "../../core/task/request.ts"
import type { MethodResult } from "../protocol/methods.ts"
import type { Calls, CallOptions } from "./calls.ts"
import type { TaskEvent } from "./events.ts"
import { SubmitKeys } from "./submitKeys.ts"
import type { Begun } from "./watch.ts"

type SubmitAnswer = MethodResult<"task.submit">

const WATCH = { watch: true } as const

/** An older server does not know that a submit can watch. */
const knowsNoWatch = ({ code, path }: BerthError): boolean => code === "INVALID_PARAMS" && path === "params.watch"

/** What the answer began. Of a new task it is the first event itself. */
function begunWith({ subscription, duplicate, seq, task }: SubmitAnswer): Begun | null {
  if (subscription === undefined) return null
  const events: readonly TaskEvent[] = duplicate
    ? []
    : [{ type: "state", seq, taskId: task.id, facts: ["submitted"], task }]
  return { subscription, seq, events }
}

/** Submits. Each has an idempotency key, of its own where the caller names none, so a lost answer never makes a second task. */
export class Submits {
  readonly #calls: Calls
  readonly #keys = new SubmitKeys()
  #canWatch = true

  constructor(calls: Calls) {
    this.#calls = calls
  }

  /** A connection is there; it may lead to another server than the last one. */
  up(): void {
    this.#canWatch = true
  }

  submit<A>(request: SubmitRequest, options: CallOptions, use: (answer: SubmitAnswer) => A): Promise<A> {
    return this.#calls.callFor("task.submit", this.#keyed(request), options, use)
  }

  /** As `submit`, and watches with the same request where the server can. */
  async watched<A>(request: SubmitRequest, use: (answer: SubmitAnswer, begun: Begun | null) => A): Promise<A> {
    const keyed = this.#keyed(request)
    if (this.#canWatch) {
      try {
        return await this.#calls.callFor("task.submit", { ...keyed, ...WATCH }, {}, (answer) =>
          use(answer, begunWith(answer)),
        )
      } catch (cause) {
        if (!knowsNoWatch(asBerthError(cause))) throw cause
        this.#canWatch = false
      }
    }
    return this.submit(keyed, {}, (answer) => use(answer, null))
  }

  #keyed(request: SubmitRequest): SubmitRequest {
    return request.idempotencyKey === undefined ? { ...request, idempotencyKey: this.#keys.next() } : request
  }
}
