/** What a watch sends. `seq` is the position in the log: a client resumes with the highest it has handled. */
import { Schema } from "effect"
import { AtMs, Encoding, SeqField, StatusField, StreamField, SubscriptionId, TaskId } from "./fields.ts"
import { Task } from "./task.ts"
import { WireError } from "./wireError.ts"

const ofAttempt = { taskId: TaskId, attempt: Schema.Finite, epoch: Schema.Finite }

const BreakerField = Schema.Literals(["closed", "open", "half-open"])

const BackendChanged = Schema.Struct({
  type: Schema.Literal("backend"),
  seq: Schema.Null,
  node: Schema.String,
  backend: Schema.String.annotate({ description: "`docker`, `pull`, `blobs`." }),
  from: BreakerField,
  to: BreakerField,
  lastFailure: Schema.NullOr(Schema.String),
  atMs: AtMs,
}).annotate({
  description:
    "A circuit breaker changed. Sent by `events.watch`, live and not kept; `system.info` has the present state.",
})

export const WireEvent = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("state"),
    seq: SeqField,
    taskId: TaskId,
    facts: Schema.Array(Schema.String).annotate({ description: "What happened, oldest first." }),
    task: Task,
  }),
  Schema.Struct({
    type: Schema.Literal("output"),
    seq: Schema.NullOr(SeqField).annotate({ description: "Null: sent live and not kept." }),
    ...ofAttempt,
    stream: StreamField,
    offset: Schema.Finite.annotate({ description: "Bytes of this stream before these, from the attempt's begin." }),
    data: Schema.String,
    encoding: Encoding.annotate({
      description: "`utf8` when these bytes are valid UTF-8 by themselves, else `base64`.",
    }),
  }),
  Schema.Struct({
    type: Schema.Literal("gap"),
    seq: SeqField,
    ...ofAttempt,
    stream: StreamField,
    offset: Schema.Finite,
    bytes: Schema.NullOr(Schema.Finite).annotate({
      description: "Bytes that were not kept; null: nobody knows how many.",
    }),
  }),
  Schema.Struct({ type: Schema.Literal("progress"), seq: SeqField, ...ofAttempt, data: Schema.Unknown, atMs: AtMs }),
  BackendChanged,
  Schema.Struct({ type: Schema.Literal("end"), seq: SeqField, taskId: TaskId, status: StatusField }),
]).annotate({ identifier: "Event", description: "One event of a watch, told apart by `type`." })
export type WireEvent = typeof WireEvent.Type

/** Messages that the server sends by itself, without `id`. */
export const NOTIFICATIONS = {
  "task.event": {
    summary: "One event of a watch.",
    params: Schema.Struct({ subscription: SubscriptionId, event: WireEvent }),
  },
  "subscription.ended": {
    summary: "A watch is over: `error` is null when everything was sent, and says otherwise why.",
    params: Schema.Struct({ subscription: SubscriptionId, error: Schema.NullOr(WireError) }),
  },
} as const
export type NotificationName = keyof typeof NOTIFICATIONS
export type NotificationParams<N extends NotificationName> = (typeof NOTIFICATIONS)[N]["params"]["Type"]
