/** A task and its result as they are answered. Types equal to actors' TaskView and core's AttemptResult (test/types). */
import { Schema } from "effect"
import { END_REASONS, WAITING_FOR } from "../../core/words.ts"
import { AtMs, LaneField, PhaseField, seqField, StatusField, TaskId } from "./fields.ts"

const NullOrNumber = Schema.NullOr(Schema.Finite)
const NullOrText = Schema.NullOr(Schema.String)

const StreamTotals = Schema.Struct({
  totalBytes: Schema.Finite,
  headBytes: Schema.Finite,
  tailBytes: Schema.Finite,
  droppedBytes: Schema.Finite,
}).annotate({
  identifier: "StreamTotals",
  description: "Bytes of one output stream: all, kept from its beginning and its end, and only sent live.",
})

const Artifact = Schema.Struct({
  path: Schema.String.annotate({
    description: "Relative to /box/out; download with GET /v1/tasks/<id>/artifacts/<path>.",
  }),
  sizeBytes: Schema.Finite,
  sha256: Schema.String,
  blobKey: Schema.String,
}).annotate({ identifier: "Artifact" })

const EndReasonField = Schema.Literals(END_REASONS).annotate({ description: "Why the attempt ended as it did." })

export const AttemptResult = Schema.Struct({
  status: Schema.Literals(["completed", "failed", "timeout", "cancelled"]),
  reason: EndReasonField,
  message: NullOrText,
  exitCode: NullOrNumber,
  signal: NullOrText,
  attempt: Schema.Finite,
  epoch: Schema.Finite,
  startedAtMs: NullOrNumber,
  endedAtMs: Schema.Finite,
  wallMs: NullOrNumber,
  cpuMs: NullOrNumber,
  memoryPeakBytes: NullOrNumber,
  stdout: StreamTotals,
  stderr: StreamTotals,
  artifacts: Schema.Array(Artifact),
  artifactsMissing: NullOrText,
  value: Schema.Unknown.annotate({ description: "What a handler returned; null otherwise." }),
  imageDigest: NullOrText,
  policy: Schema.NullOr(
    Schema.Record(
      Schema.String,
      Schema.Union([Schema.String, Schema.Finite, Schema.Boolean, Schema.Array(Schema.String)]),
    ),
  ).annotate({ description: "The sandbox that the engine says it enforced." }),
  overlapPossible: Schema.Boolean,
}).annotate({ identifier: "AttemptResult", description: "How one attempt ended: verdict, time and memory together." })

const AttemptSummary = Schema.Struct({
  attempt: Schema.Finite,
  epoch: Schema.Finite,
  status: StatusField,
  reason: EndReasonField,
  exitCode: NullOrNumber,
  startedAtMs: NullOrNumber,
  endedAtMs: Schema.Finite,
}).annotate({ identifier: "AttemptSummary" })

export const Task = Schema.Struct({
  id: TaskId,
  owner: Schema.String,
  status: StatusField,
  phase: PhaseField,
  waitingFor: Schema.NullOr(Schema.Literals(WAITING_FOR)).annotate({
    description: "Why it does not go on. `backend_unavailable`: the engine does not answer; it goes on by itself.",
  }),
  attempt: Schema.Finite.annotate({ description: "Counted from 1." }),
  maxAttempts: Schema.Finite,
  epoch: Schema.Finite.annotate({ description: "Grows at every start and adoption; 0 before the first." }),
  kind: Schema.Literals(["runtime", "image", "handler"]),
  target: Schema.String.annotate({ description: "Name of the runtime, image or handler." }),
  lane: LaneField,
  pool: Schema.String,
  labels: Schema.Record(Schema.String, Schema.String),
  timeoutMs: Schema.Finite,
  startAtMs: Schema.NullOr(AtMs),
  startByMs: Schema.NullOr(AtMs),
  wakeAtMs: Schema.NullOr(AtMs),
  worker: NullOrText,
  containerId: NullOrText,
  stopRequested: Schema.NullOr(Schema.Literals(["cancel", "kill"])),
  result: Schema.NullOr(AttemptResult),
  history: Schema.Array(AttemptSummary),
  outputPurged: Schema.Boolean,
  submittedAtMs: AtMs,
  updatedAtMs: AtMs,
  endedAtMs: Schema.NullOr(AtMs),
  seq: seqField("Sequence of the record that this shows."),
}).annotate({
  identifier: "Task",
  description: "A task as its owner may see it: no environment values, no program text.",
})
export type Task = typeof Task.Type
