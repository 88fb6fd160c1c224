/** `task.submit`: what identifies a request, and the watch that it may open. Whether it is taken, the service decides. */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import type { SubmitRequest } from "../../../core/task/request.ts"
import type { Method } from "./call.ts"

/** A value with the keys of its objects in order, so that equal requests have equal text. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return Object.fromEntries(entries.map(([key, inner]) => [key, ordered(inner)]))
}

/** SHA-256 of a request as sent, in hex; the order of keys does not matter. */
export const requestHash = (request: SubmitRequest): string =>
  createHash("sha256")
    .update(JSON.stringify(ordered(request)))
    .digest("hex")

export const submit: Method<"task.submit"> = {
  role: "user",
  handle: ({ principal, tasks, connection }, { watch = false, ...request }) =>
    Effect.gen(function* () {
      const { task, duplicate } = yield* tasks.submit(principal, request, requestHash(request))
      const answer = { task, duplicate, seq: task.seq }
      if (!watch) return answer
      // The answer is the first event of a new task. The last step, like every subscribing: after it nothing fails.
      const subscribed = connection.subscribe(tasks.watch(principal, task.id, duplicate ? 0 : task.seq))
      return yield* Effect.catch(
        Effect.map(subscribed, (subscription) => ({ ...answer, subscription })),
        (error) => (error.code === "TOO_MANY" ? Effect.succeed(answer) : Effect.fail(error)),
      )
    }),
}
