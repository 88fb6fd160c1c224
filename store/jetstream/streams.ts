/** The streams of a cluster, made where they are missing. What an operator changed on an existing one (its bytes, its place) stays. */
import { DiscardPolicy, PersistMode, RetentionPolicy, type StreamConfig, StorageType } from "@nats-io/jetstream"
import { nanos } from "@nats-io/transport-node"
import { Effect, Schedule } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import { answeredWith, isAbsent } from "./failure.ts"
import { isAtLeast, type Link } from "./link.ts"
import type { Names } from "./token.ts"

/** Nothing here is recognised by message ids: compare-and-set does that. The window costs memory, so it is the smallest useful. */
const DEDUPE_MS = 1_000
/** Since then a stream may leave syncing to the system, whatever the server's setting. */
const PERSIST_MODE_SINCE = [2, 12, 0] as const

/** How long a node that may not make streams waits for one that may. */
const WAIT_MS = 250
const WAIT_TRIES_MAX = 120
const UNSETTLED_TRIES_MAX = 5
/** The broker's code for replicas on a server that is alone. */
const REPLICAS_NEED_CLUSTER = 10074

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

/** What may be asked of streams that are made. */
export interface StreamWishes {
  readonly replicas?: number
  readonly bytesMax?: number
}

const LOG_SHARE = 0.75
const limited = (config: Config, bytesMax: number | undefined, share: number): Config =>
  bytesMax === undefined ? config : { ...config, max_bytes: Math.floor(bytesMax * share) }

const streamsOf = (
  names: Names,
  { bytesMax, replicas = 1 }: StreamWishes,
  version: readonly number[],
): readonly Config[] => [
  limited(base(names.logStream, [`${names.prefix}log.>`], replicas), bytesMax, LOG_SHARE),
  queue(names, replicas, version),
  limited(cells(names.blobStream, [`${names.prefix}blob.>`], replicas), bytesMax, 1 - LOG_SHARE),
  bucket(names.leaseBucket, replicas),
  bucket(names.workerBucket, replicas),
  bucket(names.secretBucket, replicas),
]

/**
 * Makes what is missing, or, for who may not, waits until somebody has. Fails with CONFIG_INVALID where an existing stream
 * would break a promise of the ports or has other replicas than were asked for: nobody shrinks a cluster by a start.
 * Replicas that nobody asks for are as they are, and 1 where streams are made.
 */
export const ensureStreams = (
  link: Link,
  names: Names,
  wishes: StreamWishes,
  mayMake: boolean,
): Effect.Effect<void, BerthError> =>
  Effect.forEach(
    streamsOf(names, wishes, link.version),
    (config) => ensure(link, config, wishes.replicas ?? null, mayMake ? null : WAIT_TRIES_MAX),
    { discard: true },
  )

/** Makes the queue's stream where somebody deleted it. The log still has the tasks: their wake-ups are published again. */
export const remakeQueue = (link: Link, names: Names): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const log = yield* lookUp(link, names.logStream)
    yield* ensure(link, queue(names, log?.num_replicas ?? 1, link.version), null, null)
  })

/** A stream that somebody makes at this moment has no leader yet who could answer. */
const unsettled = <A>(effect: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
  Effect.retry(effect, {
    while: (error) => error.code === "STORE_UNAVAILABLE",
    times: UNSETTLED_TRIES_MAX,
    schedule: Schedule.spaced(WAIT_MS),
  })

const lookUp = (link: Link, name: string): Effect.Effect<StreamConfig | null, BerthError> =>
  link
    .look(`looking for stream ${name}`, async () => {
      try {
        return (await link.jsm.streams.info(name)).config
      } catch (cause) {
        if (isAbsent(cause)) return null
        throw cause
      }
    })
    .pipe(unsettled)

/** @param waits - how often to look again for what somebody else makes; null: it is made here */
const ensure = (
  link: Link,
  config: Config,
  replicas: number | null,
  waits: number | null,
): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const found = yield* lookUp(link, config.name)
    if (found !== null) return yield* assertKept(found, config, replicas)
    if (waits === null) return yield* make(link, config)
    if (waits === 0) {
      return yield* Effect.fail(
        berthError("STORE_UNAVAILABLE", `stream ${config.name} is not there`, {
          hint: "Start a node with the role leader: it makes the streams.",
        }),
      )
    }
    yield* Effect.sleep(WAIT_MS)
    yield* ensure(link, config, replicas, waits - 1)
  })

const make = (link: Link, config: Config): Effect.Effect<void, BerthError> =>
  link
    .ask(`making stream ${config.name}`, () => link.jsm.streams.add(config))
    .pipe(
      unsettled,
      Effect.asVoid,
      Effect.mapError((error) =>
        answeredWith(error, REPLICAS_NEED_CLUSTER)
          ? berthError("CONFIG_INVALID", `${config.num_replicas} replicas need as many servers in one NATS cluster`, {
              cause: error,
              path: "replicas",
              hint: "Ask for 1 replica, or give the servers a `cluster {}` block each.",
            })
          : error,
      ),
    )

function assertKept(found: StreamConfig, config: Config, replicas: number | null): Effect.Effect<void, BerthError> {
  const { name } = config
  const isKept =
    found.allow_direct !== true &&
    found.discard === config.discard &&
    found.retention === (config.retention ?? RetentionPolicy.Limits) &&
    found.max_msgs_per_subject === (config.max_msgs_per_subject ?? -1) &&
    (found.persist_mode !== PersistMode.Async || config.persist_mode === PersistMode.Async)
  if (!isKept) {
    return Effect.fail(
      berthError("CONFIG_INVALID", `stream ${name} was changed so that it cannot be relied on`, {
        path: "cluster",
        hint: "Put retention, discard, allow_direct, persist_mode and max_msgs_per_subject back, or choose another cluster name.",
      }),
    )
  }
  if (replicas === null || found.num_replicas === replicas) return Effect.void
  return Effect.fail(
    berthError("CONFIG_INVALID", `stream ${name} has ${found.num_replicas} replicas, not ${replicas}`, {
      path: "replicas",
      hint: `Start with --replicas ${found.num_replicas}, or change every stream of the cluster first: nats stream edit ${name} --replicas ${replicas}.`,
    }),
  )
}
