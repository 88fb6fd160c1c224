import { Clock } from "../../core/ports/clock.ts"
import { Effect, Layer, Stream } from "effect"
import type { Principal, TaskView, WatchEvent } from "../../actors/api.ts"
import { type Handlers, handlerExecutor } from "../../actors/executor/handler/index.ts"
import { type BerthNode, startNode } from "../../actors/node.ts"
import { liveClock } from "../../actors/system/clock.ts"
import { noFailpoints } from "../../actors/system/failpoints.ts"
import { liveRandom } from "../../actors/system/random.ts"
import { type ConfigInput, resolveConfig } from "../../core/config.ts"
import type { BerthError } from "../../core/errors.ts"
import type { SubmitRequest } from "../../core/task/request.ts"
import { NO_TELEMETRY } from "../../core/telemetry.ts"
import { memoryBlobs, memoryQueue, memorySignals, memoryStore, memoryWorkers } from "../../store/memory/index.ts"

export const OWNER: Principal = { owner: "tester", role: "user", laneMax: "urgent" }

const system = Layer.mergeAll(liveClock, liveRandom, noFailpoints)
/** A whole node's ports in memory, with this machine's clock. */
export const memoryPorts = Layer.mergeAll(memoryStore, memoryQueue(), memorySignals, memoryWorkers, memoryBlobs()).pipe(
  Layer.provideMerge(system),
)

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** A node that runs handlers only. */
export const handlerNode = (handlers: Handlers, config: ConfigInput = {}, nodeId = "node-1") =>
  Effect.gen(function* () {
    const clock = yield* Clock
    return yield* startNode({
      config: resolveConfig(config),
      clusterId: "test",
      nodeId,
      version: "0.0.0",
      store: "memory",
      executors: [handlerExecutor({ handlers, clock })],
      handlers: Object.keys(handlers),
      executorDetail: () => ({}),
      logger: SILENT,
      telemetry: NO_TELEMETRY,
      onFatal: (reason) => {
        throw new Error(reason)
      },
    })
  })

/** Submits, and collects every event until the task rests. */
export const runToEnd = (node: BerthNode, request: SubmitRequest): Effect.Effect<readonly WatchEvent[], BerthError> =>
  Effect.gen(function* () {
    const { task } = yield* node.service.submit(OWNER, request, JSON.stringify(request))
    return yield* Stream.runCollect(node.service.watch(OWNER, task.id, 0))
  })

export const lastTask = (events: readonly WatchEvent[]): TaskView => {
  const last = events.findLast((event) => event.type === "state")
  if (last === undefined) throw new Error("a watch without a state")
  return last.task
}
