/** Records as the store sees them: real facts through the real reducer, with ids and owners that a test names. */
import { RETRY_DEFAULT } from "../../core/policy/retry.ts"
import type { ControlRecord, OutputItem, OutputRecord, TaskRecord, TombstoneRecord } from "../../core/record.ts"
import { NO_OUTPUT, type AttemptResult } from "../../core/task/result.ts"
import type { TaskFact } from "../../core/task/facts.ts"
import { reduce } from "../../core/task/reduce.ts"
import type { TaskSpec } from "../../core/task/spec.ts"
import { nextEpoch, type TaskState } from "../../core/task/state.ts"

export const AT_MS = 1_750_000_000_000

export const specOf = (more: Partial<TaskSpec> = {}): TaskSpec => ({
  kind: "handler",
  target: "noop",
  lane: "normal",
  pool: "default",
  labels: {},
  retry: RETRY_DEFAULT,
  timeoutMs: 60_000,
  graceMs: 5_000,
  startAtMs: null,
  startByMs: null,
  onLost: "retry",
  limits: { memoryBytes: 268_435_456, cpuMilli: 1_000, pidsMax: 64, tmpfsBytes: 67_108_864 },
  artifacts: false,
  requestHash: "0".repeat(64),
  idempotencyKey: null,
  ...more,
})

export const resultOf = (state: TaskState, more: Partial<AttemptResult> = {}): AttemptResult => ({
  status: "completed",
  reason: "handler_returned",
  message: null,
  exitCode: null,
  signal: null,
  attempt: state.attempt,
  epoch: state.epoch,
  startedAtMs: AT_MS,
  endedAtMs: AT_MS + 5,
  wallMs: 5,
  cpuMs: null,
  memoryPeakBytes: null,
  stdout: NO_OUTPUT,
  stderr: NO_OUTPUT,
  artifacts: [],
  artifactsMissing: null,
  value: null,
  imageDigest: null,
  policy: null,
  overlapPossible: false,
  ...more,
})

let records = 0
const record = (state: TaskState | null, ...facts: readonly TaskFact[]): TaskRecord => {
  const after = facts.reduce<TaskState | null>(reduce, state)
  if (after === null) throw new Error("a record needs a fact")
  return { kind: "task", recordId: `r${records++}`, facts, state: after }
}

export interface TaskOptions {
  readonly id: string
  readonly owner?: string
  readonly spec?: Partial<TaskSpec>
  readonly atMs?: number
}

export const submitted = ({ id, owner = "ann", spec = {}, atMs = AT_MS }: TaskOptions): TaskRecord =>
  record(null, {
    type: "submitted",
    id,
    owner,
    spec: specOf(spec),
    program: { inline: { kind: "handler", handler: "noop", input: null } },
    atMs,
  })

export const started = (state: TaskState, admission = 0, atMs = AT_MS + 1): TaskRecord =>
  record(state, {
    type: "started",
    epoch: nextEpoch(state),
    attempt: state.attempt,
    worker: "w1",
    engineId: null,
    admission,
    overdueAtMs: atMs + state.spec.timeoutMs,
    atMs,
  })

export const ended = (state: TaskState, more: Partial<AttemptResult> = {}, atMs = AT_MS + 5): TaskRecord =>
  record(state, { type: "ended", result: resultOf(state, more), atMs })

export const updated = (state: TaskState, labels: Readonly<Record<string, string>>, atMs = AT_MS + 2): TaskRecord =>
  record(state, { type: "updated", labels, atMs })

/** An attempt that failed, and the next one in the same record. */
export const retried = (state: TaskState, wakeAtMs: number | null, atMs = AT_MS + 5): TaskRecord =>
  record(
    state,
    { type: "ended", result: resultOf(state, { status: "failed", reason: "exit_nonzero", exitCode: 1 }), atMs },
    { type: "retried", attempt: state.attempt + 1, maxAttempts: state.attempt + 1, wakeAtMs, by: "policy", atMs },
  )

/** A dead letter that somebody asked to be tried again. */
export const retriedByHand = (state: TaskState, atMs = AT_MS + 9): TaskRecord =>
  record(state, {
    type: "retried",
    attempt: state.attempt + 1,
    maxAttempts: state.attempt + 1,
    wakeAtMs: null,
    by: "ann",
    workerDeaths: 0,
    atMs,
  })

export const output = (items: readonly OutputItem[], more: Partial<OutputRecord> = {}): OutputRecord => ({
  kind: "output",
  owner: "ann",
  epoch: 1,
  attempt: 1,
  items,
  ...more,
})

export const printed = (text: string, offset = 0): OutputRecord =>
  output([{ type: "chunk", stream: "stdout", offset, bytes: new TextEncoder().encode(text) }])

export const admitted = (
  ...admissions: readonly { readonly taskId: string; readonly epoch: number }[]
): ControlRecord => ({
  kind: "control",
  recordId: `r${records++}`,
  fact: {
    type: "admitted",
    term: 1,
    admissions: admissions.map(({ taskId, epoch }) => ({ taskId, owner: "ann", pool: "default", epoch })),
    atMs: AT_MS,
  },
})

export const termBegan = (term: number): ControlRecord => ({
  kind: "control",
  recordId: `r${records++}`,
  fact: { type: "termBegan", node: "n1", term, atMs: AT_MS },
})

export const purged = (outputs: readonly string[], tombstones: readonly string[]): ControlRecord => ({
  kind: "control",
  recordId: `r${records++}`,
  fact: { type: "purged", term: 1, outputs, tombstones, atMs: AT_MS },
})

export const tombstoneOf = (state: TaskState, atMs = AT_MS + 100): TombstoneRecord => ({
  kind: "tombstone",
  id: state.id,
  owner: state.owner,
  requestHash: state.spec.requestHash,
  status: state.status,
  submittedAtMs: state.submittedAtMs,
  atMs,
})

/** An attempt whose worker is gone: the task waits again. */
export const lostRecord = (state: TaskState, wakeAtMs: number | null = null, atMs = AT_MS + 6): TaskRecord =>
  record(state, {
    type: "lost",
    epoch: state.epoch,
    cause: "worker",
    message: "its worker is gone",
    workerDeaths: state.workerDeaths + 1,
    overlapPossible: false,
    wakeAtMs,
    atMs,
  })
