/** The methods about the node and the connection itself. */
import { Effect } from "effect"
import type { Method } from "./call.ts"

export const queueStats: Method<"queue.stats"> = {
  role: "user",
  handle: ({ principal, tasks }) =>
    Effect.gen(function* () {
      const stats = yield* tasks.queueStats(principal)
      return { stats, seq: yield* tasks.seenSeq }
    }),
}

export const workerList: Method<"worker.list"> = {
  role: "user",
  handle: ({ tasks }) =>
    Effect.gen(function* () {
      return { workers: yield* tasks.workers, seq: yield* tasks.seenSeq }
    }),
}

export const workerDrain: Method<"worker.drain"> = {
  role: "admin",
  handle: ({ tasks }, { undo = false, worker }) =>
    Effect.gen(function* () {
      return { worker: yield* tasks.drainWorker(worker, !undo), seq: yield* tasks.seenSeq }
    }),
}

export const systemInfo: Method<"system.info"> = {
  role: "user",
  handle: ({ tasks }) => Effect.map(tasks.systemInfo, (info) => ({ info, seq: info.checkpointSeq })),
}

export const authRefresh: Method<"auth.refresh"> = {
  role: "user",
  handle: ({ connection }, { token }) => connection.refresh(token),
}

export const discover: Method<"rpc.discover"> = {
  role: "user",
  handle: ({ discover }) => Effect.sync(discover),
}
