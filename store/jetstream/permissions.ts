/**
 * What each role may do on the broker, as nats-server's configuration says it.
 *
 *   PE1. A worker writes its own leases and its own entry, and takes wake-ups of its own pool; it cannot speak as another worker.
 *   PE2. Nobody but the leader writes `control`, makes streams, or purges log, queue and leases: a purge cannot be allowed for
 *        one subject alone, and one that reached `control` would undo a fence.
 *   PE3. Nobody at all removes or changes a stream, or deletes single messages: that is the operator's.
 *
 * A task's records may be written by every gateway and worker, for any of them may hold its next message: there the version and
 * the epoch are the fence. All roles read everything but each other's answers' subjects; secrets are sealed before they get here.
 */
import { BACKENDS_SUBJECT } from "../../core/ports/signals.ts"
import { LANES, type Lane } from "../../core/words.ts"
import { consumerName } from "./lanes.ts"
import { type Names, namesOf, toToken, toTokens } from "./token.ts"

export interface Permissions {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** A user of the broker: a node may have several roles, and then needs what all of them need. */
export type BrokerUser =
  | { readonly role: "gateway" | "leader" }
  | { readonly role: "worker"; readonly worker: string; readonly pool: string }

const api = (question: string, stream: string, rest = ""): string => `$JS.API.${question}.${stream}${rest}`

/** Log, queue, blobs and the buckets' streams. */
const streamsOf = (names: Names): readonly string[] => [
  names.logStream,
  names.queueStream,
  names.blobStream,
  ...[names.leaseBucket, names.workerBucket, names.secretBucket].map((bucket) => `KV_${bucket}`),
]

/** Reading, and blobs, whose keys say nothing about who may write them. */
const everybody = (names: Names): Permissions => {
  const { blobStream, logStream, prefix } = names
  return {
    publish: [
      "$JS.API.INFO",
      ...streamsOf(names).flatMap((stream) => [api("STREAM.INFO", stream), api("STREAM.MSG.GET", stream)]),
      ...["CREATE", "INFO", "MSG.NEXT", "DELETE"].map((question) => api(`CONSUMER.${question}`, logStream, ".>")),
      `${prefix}blob.>`,
      api("STREAM.PURGE", blobStream),
    ],
    subscribe: ["_INBOX.>", `${prefix}hint.*`],
  }
}

/** A gateway has no name that the broker knows: it may tell of any node whose id is one word, as a named worker's is not. */
const gateway = (names: Names): Permissions => ({
  publish: [
    `${names.prefix}log.t.*.s`,
    `${names.prefix}sig.>`,
    `${names.prefix}bury`,
    `$KV.${names.leaseBucket}.n.*`,
    `$KV.${names.secretBucket}.>`,
  ],
  subscribe: [`${names.prefix}sig.>`],
})

const leader = (names: Names): Permissions => ({
  publish: [
    `${names.prefix}>`,
    ...[names.leaseBucket, names.workerBucket, names.secretBucket].map((bucket) => `$KV.${bucket}.>`),
    ...streamsOf(names).flatMap((stream) => [api("STREAM.CREATE", stream), api("STREAM.PURGE", stream)]),
    ...["CREATE", "INFO"].map((question) => api(`CONSUMER.${question}`, names.queueStream, ".>")),
    // Answers to those who ask for a purge.
    "_INBOX.>",
  ],
  subscribe: [`${names.prefix}sig.>`, `${names.prefix}bury`],
})

/** A name and what is below it: `w1`, `w1.2`, and not `w12`. */
const and = (name: string): readonly string[] => [name, `${name}.>`]

const worker = (names: Names, name: string, pool: string): Permissions => {
  const { leaseBucket, prefix, queueStream, workerBucket } = names
  const lane = (each: Lane): readonly string[] => {
    const consumer = consumerName(pool, each)
    const filter = `.${consumer}.${prefix}q.${toToken(pool)}.${each}.*`
    return [
      api("CONSUMER.CREATE", queueStream, filter),
      ...["INFO", "MSG.NEXT"].map((question) => api(`CONSUMER.${question}`, queueStream, `.${consumer}`)),
      `$JS.ACK.${queueStream}.${consumer}.>`,
    ]
  }
  return {
    publish: [
      ...["s", "o"].map((kind) => `${prefix}log.t.*.${kind}`),
      ...and(`$KV.${leaseBucket}.w.${toTokens(name)}`),
      ...and(`$KV.${leaseBucket}.n.${toTokens(name)}`),
      ...and(`$KV.${workerBucket}.${toTokens(name)}`),
      ...LANES.flatMap(lane),
      `${prefix}hint.${toToken(pool)}`,
      `${prefix}sig.live.>`,
      `${prefix}sig.${BACKENDS_SUBJECT}`,
    ],
    subscribe: and(`${prefix}sig.worker.${toTokens(name)}`),
  }
}

const ofUser = (names: Names, user: BrokerUser): Permissions => {
  if (user.role === "worker") return worker(names, user.worker, user.pool)
  return user.role === "leader" ? leader(names) : gateway(names)
}

/** What a node with these roles needs. Throws BerthError CONFIG_INVALID or INVALID_PARAMS for names that cannot be. */
export function permissionsOf(cluster: string, users: readonly BrokerUser[]): Permissions {
  const names = namesOf(cluster)
  const all = [everybody(names), ...users.map((user) => ofUser(names, user))]
  const gathered = (pick: (each: Permissions) => readonly string[]): readonly string[] => [
    ...new Set(all.flatMap(pick)),
  ]
  return { publish: gathered((each) => each.publish), subscribe: gathered((each) => each.subscribe) }
}

/** The same as nats-server's configuration has it: the value of a user's `permissions`. */
export function permissionsText({ publish, subscribe }: Permissions, indent = ""): string {
  const allow = (subjects: readonly string[]): string =>
    `{ allow: [\n${subjects.map((subject) => `${indent}    "${subject}"`).join("\n")}\n${indent}  ] }`
  return `{\n${indent}  publish: ${allow(publish)}\n${indent}  subscribe: ${allow(subscribe)}\n${indent}}`
}
