/** What several nodes share, in memory: log, queue, leases, signals, registry and blobs; and each node's own read model. */
import { Effect, Layer } from "effect"
import { Blobs } from "../../core/ports/blobs.ts"
import { Clock } from "../../core/ports/clock.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Failpoints } from "../../core/ports/failpoints.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Queue } from "../../core/ports/queue.ts"
import { Random } from "../../core/ports/random.ts"
import { ReadModel } from "../../core/ports/readModel.ts"
import { Signals } from "../../core/ports/signals.ts"
import { Workers } from "../../core/ports/workers.ts"
import { type BerthError, berthError } from "../../core/errors.ts"
import {
  makeMemoryBlobs,
  makeMemoryLeases,
  makeMemoryQueue,
  makeMemoryReadModel,
  makeMemorySignals,
  makeMemoryWorkers,
} from "../../store/memory/index.ts"
import { makeMemoryLog } from "../../store/memory/log.ts"
import { noFailpoints, seededRandom } from "./clock.ts"

export function makeClusterRig(clock: Clock["Service"]) {
  const store = makeMemoryLog()
  const leases = makeMemoryLeases()
  const shared = {
    queue: makeMemoryQueue(clock),
    signals: makeMemorySignals(),
    workers: makeMemoryWorkers(),
    blobs: makeMemoryBlobs().blobs,
  }
  let nodes = 0
  /** The ports of one more node. */
  const ports = (own: { readonly leases?: Leases["Service"]; readonly log?: EventLog["Service"] } = {}) =>
    Layer.mergeAll(
      Layer.succeed(Queue, shared.queue),
      Layer.succeed(Signals, shared.signals),
      Layer.succeed(Workers, shared.workers),
      Layer.succeed(Blobs, shared.blobs),
      Layer.succeed(EventLog, own.log ?? store.log),
      Layer.succeed(Leases, own.leases ?? leases),
      Layer.succeed(ReadModel, makeMemoryReadModel().readModel),
      Layer.succeed(Clock, clock),
      Layer.succeed(Random, seededRandom(++nodes)),
      Layer.succeed(Failpoints, noFailpoints),
    )
  return { ...shared, log: store.log, damage: store.damage, leases, ports }
}

const REQUEST_MS = 5_000

type Wire =
  | "up"
  /** Nothing is done, and the caller is told so. */
  | "down"
  /** What is written is done, and no answer comes back but a failure. */
  | "mute"
  /** Nothing is done, and the caller is told so after as long as a request may take. */
  | "hangs"

/** Leases over a wire that a test cuts. */
export function wired(
  leases: Leases["Service"],
  clock: Clock["Service"],
): { readonly leases: Leases["Service"]; wire: Wire } {
  const link: { wire: Wire; leases: Leases["Service"] } = { wire: "up", leases }
  const away = Effect.fail(berthError("STORE_UNAVAILABLE", "cut"))
  const over = <A>(call: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
    Effect.suspend(() => {
      if (link.wire === "down") return away
      if (link.wire === "hangs") return Effect.andThen(clock.sleep(REQUEST_MS), away)
      return call
    })
  const write = <A>(call: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
    Effect.suspend(() => over(link.wire === "mute" ? Effect.andThen(call, away) : call))
  link.leases = {
    acquire: (name, holder, data) => write(leases.acquire(name, holder, data)),
    renew: (lease, data) => write(leases.renew(lease, data)),
    revoke: (lease) => write(leases.revoke(lease)),
    release: (lease) => write(leases.release(lease)),
    read: (name) => over(leases.read(name)),
    list: (prefix) => over(leases.list(prefix)),
  }
  return link
}
