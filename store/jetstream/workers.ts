import { Effect } from "effect"
import type { WorkerInfo, Workers } from "../../core/ports/workers.ts"
import { encodePayload } from "../shared/payload.ts"
import { makeCells } from "./cells.ts"
import { storeError } from "./failure.ts"
import type { Link } from "./link.ts"
import type { Names } from "./token.ts"

/** The registry of workers in a KV bucket, one entry per worker. */
export function makeWorkers(link: Link, names: Names, mayPurge: boolean): Workers["Service"] {
  const cells = makeCells(link, names.workerBucket, mayPurge)
  return {
    put: (info) =>
      Effect.try({ try: () => encodePayload(info), catch: storeError("storing a worker's entry") }).pipe(
        Effect.flatMap((bytes) => cells.write(info.worker, bytes)),
        Effect.asVoid,
      ),
    remove: (worker) => cells.remove(worker),
    list: Effect.map(cells.list(""), (found) => found.map(({ value }) => value as WorkerInfo)),
  }
}
