/** The ports of a cluster over one JetStream broker: NATS is known in this folder and nowhere else. */
import { Context, Effect, Layer } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { Clock } from "../../core/ports/clock.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Queue } from "../../core/ports/queue.ts"
import { Random } from "../../core/ports/random.ts"
import { Secrets } from "../../core/ports/secrets.ts"
import { Signals } from "../../core/ports/signals.ts"
import { Workers } from "../../core/ports/workers.ts"
import { makeBlobs } from "./blobs.ts"
import { openBurials } from "./burials.ts"
import { readKept, usualMonitors } from "./durability.ts"
import { makeLeases } from "./leases.ts"
import { type LinkOptions, openLink } from "./link.ts"
import { makeLog } from "./log.ts"
import { makeQueue } from "./queue.ts"
import { openSecrets } from "./secrets.ts"
import { makeSignals } from "./signals.ts"
import { ensureStreams } from "./streams.ts"
import { namesOf } from "./token.ts"
import { makeWorkers } from "./workers.ts"

export type { DialOptions } from "./dial.ts"

export interface JetstreamOptions extends LinkOptions {
  /** Names the streams, so that several clusters may share a broker: 1 to 32 of `[A-Za-z0-9_-]`. */
  readonly cluster: string
  /** Copies of each stream: 1, 3 or 5. Left out: as they are, and 1 where they are made. */
  readonly replicas?: number
  /**
   * Whether the broker's user may make streams and purge, as the leader's may (permissions.ts). Who may not waits at the
   * start until the streams are there. Default true.
   */
  readonly manages?: boolean
  /** Monitoring addresses of the servers. Default: port 8222 of `servers`. They tell what an append means. */
  readonly monitors?: readonly string[]
  /**
   * Bytes that log and blobs may take together, three quarters the log; for streams that are made. A broker that is full
   * renews no lease: keep it below what the broker has. Left out: whatever comes.
   */
  readonly bytesMax?: number
  /** A wake-up that was neither settled nor given back by then is delivered again. Default 30,000. */
  readonly ackWaitMs?: number
  /** The largest single blob. Default 64 MiB. */
  readonly blobBytesMax?: number
  /** What secrets are sealed with, the same for every node, and what it is called there; left out: there are no secrets. */
  readonly secretsKeys?: { readonly text: string; readonly source: string } | null
}

/**
 * Log, queue, leases, signals, blobs, workers and secrets of one cluster; streams are made where they are missing. Fails with
 * STORE_UNAVAILABLE when no server answers or nobody has made the streams yet, and with CONFIG_INVALID for a server that is
 * too old or does no JetStream, an unknown user or one without the rights, and streams that were changed.
 */
export const jetstreamPorts = (
  options: JetstreamOptions,
): Layer.Layer<EventLog | Queue | Leases | Signals | Blobs | Workers | Secrets, BerthError, Clock | Random> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const clock = yield* Clock
      const random = yield* Random
      const names = yield* Effect.try({ try: () => namesOf(options.cluster), catch: (error) => error as BerthError })
      const link = yield* openLink(options, clock)
      const manages = options.manages ?? true
      yield* ensureStreams(link, names, options, manages)
      const kept = yield* readKept(link, names.logStream, options.monitors ?? usualMonitors(options.servers))
      const burials = yield* openBurials(link, names, manages)
      return Context.make(EventLog, yield* makeLog(link, names, clock, kept, burials)).pipe(
        Context.add(Queue, yield* makeQueue(link, names, clock, manages, options.ackWaitMs)),
        Context.add(Leases, makeLeases(link, names, manages)),
        Context.add(Signals, makeSignals(link, names)),
        Context.add(Blobs, makeBlobs(link, names, random.id, options.blobBytesMax)),
        Context.add(Workers, makeWorkers(link, names, manages)),
        Context.add(Secrets, yield* openSecrets(link, names, options.secretsKeys ?? null, manages)),
      )
    }),
  )
