/** The memory adapters: the reference, the substrate of the simulator, and, beside a data directory, what embedded mode uses. */
import { Context, Effect, Layer } from "effect"
import { EventLog } from "../../core/ports/eventLog.ts"
import { ReadModel } from "../../core/ports/readModel.ts"
import { makeMemoryLog, type MemoryLog } from "./log.ts"
import { makeMemoryReadModel, type MemoryReadModel } from "./readModel.ts"

export { makeMemoryBlobs } from "./blobs.ts"
export { makeMemoryLeases } from "./leases.ts"
export { makeMemoryQueue, memoryQueue } from "./queue.ts"
export { makeMemoryReadModel, type MemoryReadModel } from "./readModel.ts"
export { makeMemorySecrets } from "./secrets.ts"
export { makeMemorySignals, memorySignals } from "./signals.ts"
export { makeMemoryWorkers, memoryWorkers } from "./workers.ts"

export interface MemoryStore extends MemoryLog {
  readonly model: MemoryReadModel
}

/** Log and read model that move together: an append is visible in the read model when it returns. */
export function makeMemoryStore(): MemoryStore {
  const model = makeMemoryReadModel()
  return { ...makeMemoryLog(model.follower), model }
}

/**
 * The embedded pair in memory, as the sqlite store has it on disk.
 * @public
 */
export const memoryStore: Layer.Layer<EventLog | ReadModel> = Layer.effectContext(
  Effect.map(
    Effect.acquireRelease(Effect.sync(makeMemoryStore), (store) => Effect.sync(store.close)),
    ({ log, model }) => Context.make(EventLog, log).pipe(Context.add(ReadModel, model.readModel)),
  ),
)

/**
 * A log alone; its read model is kept elsewhere, by a projector.
 * @public
 */
export const memoryEventLog: Layer.Layer<EventLog> = Layer.effect(
  EventLog,
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => makeMemoryLog()),
      (store) => Effect.sync(store.close),
    ),
    ({ log }) => log,
  ),
)

/**
 * A read model alone, fed through `apply`.
 * @public
 */
export const memoryReadModel: Layer.Layer<ReadModel> = Layer.sync(ReadModel, () => makeMemoryReadModel().readModel)
