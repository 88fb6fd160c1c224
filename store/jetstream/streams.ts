/** The streams of a cluster, made where they are missing. What an operator changed on an existing one (its bytes, its place) stays. */
import { DiscardPolicy, PersistMode, RetentionPolicy, type StreamConfig, StorageType } from "@nats-io/jetstream"
import { nanos } from "@nats-io/transport-node"
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import { isAbsent } from "./failure.ts"
import { isAtLeast, type Link } from "./link.ts"
import type { Names } from "./token.ts"

/** Nothing here is recognised by message ids: compare-and-set does that. The window costs memory, so it is the smallest useful. */
const DEDUPE_MS = 1_000
/** Since then a stream may leave syncing to the system, whatever the server's setting. */
const PERSIST_MODE_SINCE = [2, 12, 0] as const

type Config = Partial<StreamConfig> & { readonly name: string; readonly subjects: string[] }

const base = (name: string, subjects: string[], replicas: number): Config => ({
  name,
  subjects,
  num_replicas: replicas,
  storage: StorageType.File,
  discard: DiscardPolicy.New,
  allow_direct: false,
  duplicate_window: nanos(DEDUPE_MS),
})

/** One value per subject: a newer one replaces it. */
const cells = (name: string, subjects: string[], replicas: number): Config => ({
  ...base(name, subjects, replicas),
  max_msgs_per_subject: 1,
})

const bucket = (name: string, replicas: number): Config => cells(`KV_${name}`, [`$KV.${name}.>`], replicas)

const queue = (names: Names, replicas: number, version: readonly number[]): Config => ({
  ...base(names.queueStream, [`${names.prefix}q.*.*.*`], replicas),
  retention: RetentionPolicy.Workqueue,
  max_msgs_per_subject: 1,
  // A second message of a task is refused instead of replacing the first, which somebody may hold.
  discard_new_per_subject: true,
  // The queue is rebuilt from the log, so it need not wait for the disk.
  ...(replicas === 1 && isAtLeast(version, PERSIST_MODE_SINCE) ? { persist_mode: PersistMode.Async } : {}),
})

/** Makes what is missing. Fails with CONFIG_INVALID where an existing stream would break a promise of the ports. */
export const ensureStreams = (link: Link, names: Names, replicas: number): Effect.Effect<void, BerthError> =>
  Effect.forEach(
    [
      base(names.logStream, [`${names.prefix}log.>`], replicas),
      queue(names, replicas, link.version),
      cells(names.blobStream, [`${names.prefix}blob.>`], replicas),
      bucket(names.leaseBucket, replicas),
      bucket(names.workerBucket, replicas),
      bucket(names.secretBucket, replicas),
    ],
    (config) => ensure(link, config),
    { discard: true },
  )

const ensure = (link: Link, config: Config): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const { streams } = link.jsm
    const found = yield* link.ask(`looking for stream ${config.name}`, async () => {
      try {
        return (await streams.info(config.name)).config
      } catch (cause) {
        if (isAbsent(cause)) return null
        throw cause
      }
    })
    if (found === null) {
      yield* link.ask(`making stream ${config.name}`, () => streams.add(config))
      return
    }
    const kept =
      found.allow_direct !== true &&
      found.discard === config.discard &&
      found.retention === (config.retention ?? RetentionPolicy.Limits) &&
      found.max_msgs_per_subject === (config.max_msgs_per_subject ?? -1)
    if (!kept) {
      return yield* Effect.fail(
        berthError("CONFIG_INVALID", `stream ${config.name} was changed so that it cannot be relied on`, {
          path: "cluster",
          hint: "Put retention, discard, allow_direct and max_msgs_per_subject back, or choose another cluster name.",
        }),
      )
    }
    if (found.num_replicas === config.num_replicas) return
    const replicas = { num_replicas: config.num_replicas ?? 1 }
    yield* link.ask(`giving stream ${config.name} its replicas`, () => streams.update(config.name, replicas))
  })
