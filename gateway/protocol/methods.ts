/** Every method: what it takes, what it answers, who may call it. The server, the client and `rpc.discover` read this table. */
import { Schema } from "effect"
import { STATUSES } from "../../core/words.ts"
import {
  AtMs,
  Cursor,
  Labels,
  LaneField,
  MinSeq,
  Owner,
  REQUEUE_MAX,
  RowsMax,
  SecretName,
  SecretValue,
  seqField,
  StatusField,
  SubscriptionId,
  TaskId,
  WorkerName,
} from "./fields.ts"
import { SubmitParams } from "./submitParams.ts"
import { QueueStats, SystemInfo, WorkerInfo } from "./system.ts"
import { Task } from "./task.ts"
import { WireError } from "./wireError.ts"

/** Highest sequence that this answer shows; the client sends the highest it saw as `minSeq`. */
const seq = seqField("The answer shows everything up to this sequence.")

const TaskAnswer = Schema.Struct({ task: Task, seq })
const TaskPage = Schema.Struct({
  tasks: Schema.Array(Task),
  nextCursor: Schema.NullOr(Schema.String).annotate({ description: "For the next page; null after the last." }),
  seq,
})
const ById = Schema.Struct({ id: TaskId })
const Nothing = Schema.Struct({})
/** No parameters. A struct without fields would take any; an unknown one is refused here as everywhere. */
const NoParams = Schema.Record(Schema.String, Schema.Unknown).check(
  Schema.makeFilter((params: Readonly<Record<string, unknown>>) => {
    const [field] = Object.keys(params)
    return field === undefined ? undefined : { path: [field], issue: "is not a field of this object" }
  }),
)
const EXAMPLE_ID = "01J8ZQ4T9VTASKAAAAAAAA"

const FromSeq = Schema.optionalKey(
  seqField("Everything after this sequence, then live. Default 0: from the beginning."),
)

const page = {
  labels: Schema.optionalKey(Labels),
  cursor: Schema.optionalKey(Cursor),
  rowsMax: Schema.optionalKey(RowsMax),
  minSeq: MinSeq,
}

export const METHODS = {
  "task.submit": {
    summary: "Accepts a task. The answer comes after the log is durable. With `watch` it opens a watch too.",
    params: SubmitParams,
    result: Schema.Struct({
      task: Task,
      duplicate: Schema.Boolean.annotate({
        description: "True when the idempotency key was seen before: this is the first task.",
      }),
      subscription: Schema.optionalKey(
        SubscriptionId.annotate({
          description:
            "With `watch`: of a new task it sends what comes after `seq`, of a duplicate everything from its beginning. Left out where there is no room for one more: `task.watch` says so.",
        }),
      ),
      seq,
    }),
    examples: [{ runtime: "python", code: "print('hello')" }],
  },
  "task.get": {
    summary: "One task.",
    params: Schema.Struct({ id: TaskId, minSeq: MinSeq }),
    result: TaskAnswer,
    examples: [{ id: EXAMPLE_ID }],
  },
  "task.list": {
    summary: "Tasks, newest first, in pages.",
    params: Schema.Struct({
      statuses: Schema.optionalKey(
        Schema.Array(StatusField).check(
          Schema.isMinLength(1, { message: "must name a status" }),
          Schema.isMaxLength(STATUSES.length, { message: `must be at most ${STATUSES.length} statuses` }),
        ),
      ),
      lanes: Schema.optionalKey(
        Schema.Array(LaneField).check(
          Schema.isMinLength(1, { message: "must name a lane" }),
          Schema.isMaxLength(4, { message: "must be at most 4 lanes" }),
        ),
      ),
      dead: Schema.optionalKey(Schema.Boolean.annotate({ description: "Only dead letters." })),
      owner: Schema.optionalKey(Owner),
      submittedAfterMs: Schema.optionalKey(AtMs),
      submittedBeforeMs: Schema.optionalKey(AtMs),
      ...page,
    }),
    result: TaskPage,
    examples: [{}, { statuses: ["running"], labels: { team: "a" }, rowsMax: 20 }],
  },
  "task.update": {
    summary: "Changes the labels, or the lane of a pending task.",
    params: Schema.Struct({
      id: TaskId,
      lane: Schema.optionalKey(LaneField),
      labels: Schema.optionalKey(Labels),
    }).check(
      Schema.makeFilter(({ lane, labels }) =>
        lane === undefined && labels === undefined ? "must change `lane` or `labels`" : undefined,
      ),
    ),
    result: TaskAnswer,
    examples: [{ id: EXAMPLE_ID, lane: "high" }],
  },
  "task.cancel": {
    summary: "Stops a task in whatever phase it is: SIGTERM, then SIGKILL after its grace period.",
    params: ById,
    result: TaskAnswer,
    examples: [{ id: EXAMPLE_ID }],
  },
  "task.kill": {
    summary: "Stops a task at once.",
    params: ById,
    result: TaskAnswer,
    examples: [{ id: EXAMPLE_ID }],
  },
  "task.retry": {
    summary: "Gives a failed or timed out task one more attempt.",
    params: ById,
    result: TaskAnswer,
    examples: [{ id: EXAMPLE_ID }],
  },
  "task.delete": {
    summary: "Purges a task at rest with its output and artifacts.",
    params: ById,
    result: Schema.Struct({ id: TaskId, seq }),
    examples: [{ id: EXAMPLE_ID }],
  },
  "task.watch": {
    summary: "Sends a task's events as `task.event` until its end: from a sequence, then live, each once and in order.",
    params: Schema.Struct({
      id: TaskId,
      fromSeq: FromSeq,
      follow: Schema.optionalKey(
        Schema.Boolean.annotate({ description: "False: over when all was sent that the log holds now. Default true." }),
      ),
      minSeq: MinSeq,
    }),
    result: Schema.Struct({ subscription: SubscriptionId, seq }),
    examples: [{ id: EXAMPLE_ID, fromSeq: 0 }],
  },
  "task.unwatch": {
    summary: "Ends a watch; nothing of it is sent after the answer.",
    params: Schema.Struct({ subscription: SubscriptionId }),
    result: Nothing,
    examples: [{ subscription: "s1" }],
  },
  "events.watch": {
    summary: "Sends the state events of all of one's own tasks, and changes of backends, as `task.event`.",
    params: Schema.Struct({
      fromSeq: Schema.optionalKey(seqField("Everything after this sequence; left out: from now on.")),
    }),
    result: Schema.Struct({ subscription: SubscriptionId, seq }),
    examples: [{}, { fromSeq: 120 }],
  },
  "dlq.list": {
    summary: "Dead letters: tasks at rest in `failed` or `timeout`, newest first.",
    params: Schema.Struct(page),
    result: TaskPage,
    examples: [{}],
  },
  "dlq.requeue": {
    summary: "Gives dead letters one more attempt each.",
    params: Schema.Struct({
      id: Schema.optionalKey(TaskId),
      ids: Schema.optionalKey(
        Schema.Array(TaskId).check(
          Schema.isMinLength(1, { message: "must name a task" }),
          Schema.isMaxLength(REQUEUE_MAX, { message: `must be at most ${REQUEUE_MAX} ids` }),
        ),
      ),
    }).check(
      Schema.makeFilter(({ id, ids }) =>
        (id === undefined) === (ids === undefined)
          ? { path: ["id"], issue: "either `id` or `ids` must be given" }
          : undefined,
      ),
    ),
    result: Schema.Struct({
      requeued: Schema.Array(Task),
      failed: Schema.Array(Schema.Struct({ id: TaskId, error: WireError })),
      seq,
    }),
    examples: [{ id: EXAMPLE_ID }, { ids: [EXAMPLE_ID] }],
  },
  "queue.stats": {
    summary: "How many tasks wait and run, and who could run them.",
    params: NoParams,
    result: Schema.Struct({ stats: QueueStats, seq }),
    examples: [{}],
  },
  "worker.list": {
    summary: "Every worker: where it is, what it takes, what it holds.",
    params: NoParams,
    result: Schema.Struct({ workers: Schema.Array(WorkerInfo), seq }),
    examples: [{}],
  },
  "worker.drain": {
    summary: "A worker starts nothing more; what it holds goes on to its end. For admins.",
    params: Schema.Struct({
      worker: WorkerName,
      undo: Schema.optionalKey(Schema.Boolean.annotate({ description: "It takes work again. Default false." })),
    }),
    result: Schema.Struct({ worker: WorkerInfo, seq }),
    examples: [{ worker: "n1.k3v9" }],
  },
  "system.info": {
    summary: "What this node is and how it fares.",
    params: NoParams,
    result: Schema.Struct({ info: SystemInfo, seq }),
    examples: [{}],
  },
  "secret.set": {
    summary: "Keeps a secret, sealed, in the place of an earlier one of this name. Its value never comes back.",
    params: Schema.Struct({ name: SecretName, value: SecretValue }),
    result: Nothing,
    examples: [{ name: "API_TOKEN", value: "the value" }],
  },
  "secret.list": {
    summary: "Names of one's own secrets, in order.",
    params: NoParams,
    result: Schema.Struct({ names: Schema.Array(Schema.String) }),
    examples: [{}],
  },
  "secret.delete": {
    summary: "Removes a secret. Programs that run have it already.",
    params: Schema.Struct({ name: SecretName }),
    result: Schema.Struct({ removed: Schema.Boolean.annotate({ description: "False: there was none." }) }),
    examples: [{ name: "API_TOKEN" }],
  },
  "auth.refresh": {
    summary: "Puts a newer token of the same `sub` in the place of this connection's.",
    params: Schema.Struct({ token: Schema.String.annotate({ description: "The new token." }) }),
    result: Schema.Struct({ expiresAtMs: AtMs }),
    examples: [{ token: "eyJhbGciOiJIUzI1NiJ9.e30.c2ln" }],
  },
  "rpc.discover": {
    summary: "This interface as an OpenRPC document.",
    params: NoParams,
    result: Schema.Record(Schema.String, Schema.Unknown),
    examples: [{}],
  },
} as const satisfies Record<string, MethodShape>

interface MethodShape {
  readonly summary: string
  readonly params: Schema.ConstraintDecoder<unknown>
  readonly result: Schema.ConstraintDecoder<unknown>
  readonly examples: readonly [unknown, ...unknown[]]
}

export type MethodName = keyof typeof METHODS
export type MethodParams<M extends MethodName> = (typeof METHODS)[M]["params"]["Type"]
export type MethodResult<M extends MethodName> = (typeof METHODS)[M]["result"]["Type"]

export const METHOD_NAMES = Object.keys(METHODS) as readonly MethodName[]
export const isMethodName = (name: string): name is MethodName => Object.hasOwn(METHODS, name)

/** Names of later methods: answered with NOT_YET, and given to nothing else. */
export const METHODS_RESERVED: ReadonlySet<string> = new Set(["action.list", "action.get"])
