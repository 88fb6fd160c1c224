import { Effect, Layer } from "effect"
import { Workers, type WorkerInfo } from "../../core/ports/workers.ts"
import { decodePayload, encodePayload } from "../shared/payload.ts"
import { step } from "./log.ts"

/** The registry of workers in memory. */
export function makeMemoryWorkers(): Workers["Service"] {
  const workers = new Map<string, WorkerInfo>()
  return {
    put: (info) =>
      step(() => {
        workers.set(info.worker, decodePayload(encodePayload(info)) as WorkerInfo)
      }),
    remove: (worker) => Effect.sync(() => void workers.delete(worker)),
    list: Effect.sync(() => [...workers.values()]),
  }
}

export const memoryWorkers: Layer.Layer<Workers> = Layer.sync(Workers, makeMemoryWorkers)
