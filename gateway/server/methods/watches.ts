/** The methods that open and close subscriptions. */
import { Effect } from "effect"
import type { Method } from "./call.ts"

export const watch: Method<"task.watch"> = {
  role: "user",
  handle: ({ principal, tasks, connection }, { id, fromSeq = 0, follow = true, minSeq = 0 }) =>
    Effect.gen(function* () {
      // An unknown task is told in the answer, not by a subscription that ends at once.
      const task = yield* tasks.get(principal, id, minSeq)
      const subscription = yield* connection.subscribe(tasks.watch(principal, id, fromSeq, follow))
      return { subscription, seq: task.seq }
    }),
}

export const unwatch: Method<"task.unwatch"> = {
  role: "user",
  handle: ({ connection }, { subscription }) => Effect.as(connection.unsubscribe(subscription), {}),
}

export const eventsWatch: Method<"events.watch"> = {
  role: "user",
  handle: ({ principal, tasks, connection }, { fromSeq }) =>
    Effect.gen(function* () {
      const seq = yield* tasks.headSeq
      // From a number rather than "from now on": nothing is lost between this answer and the first pull.
      const subscription = yield* connection.subscribe(tasks.watchAll(principal, fromSeq ?? seq))
      return { subscription, seq }
    }),
}
