/** What is told of the node and its queue. Types equal to actors' SystemInfo and QueueStats (test/types). */
import { Schema } from "effect"
import { ISOLATIONS, LANES, ROLES, STATUSES } from "../../core/words.ts"
import { AtMs, SeqField } from "./fields.ts"

/** A struct with one count for each of a closed list of words. */
const countsOf = <const W extends string>(words: readonly W[]) =>
  Schema.Struct(Object.fromEntries(words.map((word) => [word, Schema.Finite])) as { [K in W]: typeof Schema.Finite })

export const WorkerInfo = Schema.Struct({
  worker: Schema.String,
  host: Schema.String,
  engineId: Schema.NullOr(Schema.String),
  pool: Schema.String,
  slots: Schema.Finite,
  held: Schema.Finite.annotate({ description: "Attempts in its hands." }),
  kinds: Schema.Array(Schema.String),
  kindsUnavailable: Schema.Array(Schema.String).annotate({
    description: "Kinds that it would take if their backend answered.",
  }),
  handlers: Schema.Array(Schema.String),
  isolations: Schema.Array(Schema.Literals(ISOLATIONS)),
  labels: Schema.Record(Schema.String, Schema.String),
  draining: Schema.Boolean,
  accepting: Schema.Boolean,
  version: Schema.String,
  startedAtMs: AtMs,
}).annotate({ identifier: "Worker" })

export const QueueStats = Schema.Struct({
  byStatus: countsOf(STATUSES),
  pendingByLane: countsOf(LANES),
  slotsHeld: Schema.Finite.annotate({ description: "Slots in use, derived from the log." }),
  workers: Schema.Array(WorkerInfo),
  slotsTotal: Schema.Finite,
}).annotate({ identifier: "QueueStats" })

const BackendInfo = Schema.Struct({
  backend: Schema.String,
  state: Schema.Literals(["closed", "open", "half-open"]),
  accepting: Schema.Boolean,
  openedTotal: Schema.Finite,
  rejectedTotal: Schema.Finite,
  retryInMs: Schema.NullOr(Schema.Finite).annotate({ description: "Time until the next probe; null unless open." }),
  lastFailure: Schema.NullOr(Schema.String),
  slotsInUse: Schema.Finite.annotate({ description: "Calls that are with it now." }),
  slotsWaiting: Schema.Finite,
  startsWaiting: Schema.Finite,
}).annotate({ identifier: "Backend", description: "What stands between the node and one backend." })

const NodeLevel = Schema.Struct({
  node: Schema.String,
  version: Schema.String,
  roles: Schema.Array(Schema.Literals(ROLES)),
  host: Schema.String,
  level: Schema.Finite.annotate({ description: "Highest level of records that it reads." }),
}).annotate({ identifier: "NodeLevel" })

export const SystemInfo = Schema.Struct({
  version: Schema.String,
  clusterId: Schema.String,
  nodeId: Schema.String,
  roles: Schema.Array(Schema.String),
  store: Schema.Literals(["sqlite", "memory", "jetstream"]),
  durability: Schema.Literals(["fsynced", "page-cache", "memory", "unknown"]).annotate({
    description: "What an accepted submit means.",
  }),
  leader: Schema.Boolean.annotate({ description: "This node leads and decides." }),
  leaderNode: Schema.NullOr(Schema.String).annotate({ description: "Who leads, as far as this node knows." }),
  ready: Schema.Boolean,
  trouble: Schema.NullOr(Schema.String).annotate({ description: "Why this node is not ready." }),
  headSeq: SeqField,
  checkpointSeq: SeqField,
  recordLevel: Schema.Struct({
    inForce: Schema.Finite.annotate({ description: "Level at which records are written now." }),
    readable: Schema.Finite.annotate({ description: "Highest level that this node reads." }),
    heldBackBy: Schema.Array(NodeLevel).annotate({
      description: "Nodes that read less than others: the level is not raised while they are there.",
    }),
  }).annotate({ description: "How far an upgrade is." }),
  executors: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      accepting: Schema.Boolean,
      detail: Schema.Record(Schema.String, Schema.Unknown),
    }),
  ),
  backends: Schema.Array(BackendInfo),
  slotDrift: Schema.Finite.annotate({ description: "Slots that somebody counts and the log does not hold. Is 0." }),
  repairs: Schema.Finite,
  startedAtMs: AtMs,
  nowMs: AtMs,
}).annotate({ identifier: "SystemInfo" })
