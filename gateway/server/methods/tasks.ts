/** The methods of one task, and the lists of many. */
import { Effect, Result } from "effect"
import type { TaskView } from "../../../actors/api.ts"
import { berthError, type BerthError } from "../../../core/errors.ts"
import { LIST_PAGE_DEFAULT } from "../../protocol/limits.ts"
import type { MethodName } from "../../protocol/methods.ts"
import { toWireError } from "../../protocol/wireError.ts"
import type { Call, Method } from "./call.ts"

const shown = (task: TaskView) => ({ task, seq: task.seq })

/** A method that does one thing to one task and answers with it. */
const onTask = <M extends MethodName & ("task.cancel" | "task.kill" | "task.retry")>(
  act: (call: Call, id: string) => Effect.Effect<TaskView, BerthError>,
): Method<M> => ({
  role: "user",
  handle: (call, { id }) => Effect.map(act(call, id), shown),
})

export const get: Method<"task.get"> = {
  role: "user",
  handle: ({ principal, tasks }, { id, minSeq = 0 }) => Effect.map(tasks.get(principal, id, minSeq), shown),
}

export const update: Method<"task.update"> = {
  role: "user",
  handle: ({ principal, tasks }, { id, ...change }) => Effect.map(tasks.update(principal, id, change), shown),
}

export const cancel = onTask<"task.cancel">(({ principal, tasks }, id) => tasks.cancel(principal, id, "cancel"))
export const kill = onTask<"task.kill">(({ principal, tasks }, id) => tasks.cancel(principal, id, "kill"))
export const retry = onTask<"task.retry">(({ principal, tasks }, id) => tasks.retry(principal, id))

export const remove: Method<"task.delete"> = {
  role: "user",
  handle: ({ principal, tasks }, { id }) => tasks.remove(principal, id),
}

export const list: Method<"task.list"> = {
  role: "user",
  handle: ({ principal, tasks }, { minSeq = 0, cursor = null, rowsMax = LIST_PAGE_DEFAULT, owner, ...filter }) =>
    Effect.gen(function* () {
      if (owner !== undefined && owner !== principal.owner && principal.role !== "admin")
        return yield* Effect.fail(
          berthError("FORBIDDEN", "only an admin may list another owner's tasks", { path: "params.owner" }),
        )
      const query = { ...filter, ...(owner === undefined ? {} : { owner }), cursor, rowsMax }
      const page = yield* tasks.list(principal, query, minSeq)
      return { ...page, seq: yield* tasks.seenSeq }
    }),
}

export const dlqList: Method<"dlq.list"> = {
  role: "user",
  handle: ({ principal, tasks }, { minSeq = 0, cursor = null, rowsMax = LIST_PAGE_DEFAULT, ...filter }) =>
    Effect.gen(function* () {
      const page = yield* tasks.list(principal, { ...filter, dead: true, cursor, rowsMax }, minSeq)
      return { ...page, seq: yield* tasks.seenSeq }
    }),
}

export const dlqRequeue: Method<"dlq.requeue"> = {
  role: "user",
  handle: ({ principal, tasks }, { id, ids }) =>
    Effect.gen(function* () {
      if (id !== undefined) {
        const task = yield* tasks.retry(principal, id)
        return { requeued: [task], failed: [], seq: task.seq }
      }
      const requeued: TaskView[] = []
      const failed: { id: string; error: ReturnType<typeof toWireError> }[] = []
      for (const each of new Set(ids)) {
        const outcome = yield* Effect.result(tasks.retry(principal, each))
        if (Result.isSuccess(outcome)) requeued.push(outcome.success)
        else failed.push({ id: each, error: toWireError(outcome.failure) })
      }
      return { requeued, failed, seq: Math.max(0, ...requeued.map(({ seq }) => seq)) }
    }),
}
