/** A principal, and a task from its submit to its end. */
import { Effect, Stream } from "effect"
import type { Principal, TaskView, WatchEvent } from "../../actors/api.ts"
import type { BerthNode } from "../../actors/node.ts"
import type { BerthError } from "../../core/errors.ts"
import type { SubmitRequest } from "../../core/task/request.ts"
import { streamOf } from "./watching.ts"

export const OWNER: Principal = { owner: "tester", role: "user", laneMax: "urgent" }

/** Submits, and collects every event until the task rests. */
export const runToEnd = (node: BerthNode, request: SubmitRequest): Effect.Effect<readonly WatchEvent[], BerthError> =>
  Effect.gen(function* () {
    const { task } = yield* node.service.submit(OWNER, request, JSON.stringify(request))
    return yield* Stream.runCollect(streamOf(node.service.watch(OWNER, task.id, 0)))
  })

export const lastTask = (events: readonly WatchEvent[]): TaskView => {
  const last = events.findLast((event) => event.type === "state")
  if (last === undefined) throw new Error("a watch without a state")
  return last.task
}
