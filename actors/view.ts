import type { TaskRow } from "../core/readmodel/row.ts"
import type { TombstoneRecord } from "../core/record.ts"
import { type Surroundings, waitingForOf } from "../core/policy/waitingFor.ts"
import { phaseShown } from "../core/task/state.ts"
import type { Status } from "../core/words.ts"
import type { TaskView } from "./api.ts"

/** Where a record is told as it comes, and nothing is asked beside it. */
export const NOTHING_KNOWN: Surroundings = { workers: null, limited: false }

/** A task as its owner may see it. The environment's values and the program are not in the state, so they cannot get here. */
export function viewOf(
  { outputPurged, seq, state }: Pick<TaskRow, "state" | "seq" | "outputPurged">,
  around: Surroundings,
): TaskView {
  const { holder, spec } = state
  return {
    id: state.id,
    owner: state.owner,
    status: state.status,
    phase: phaseShown(state, around.limited),
    waitingFor: waitingForOf(state, around),
    attempt: state.attempt,
    maxAttempts: state.maxAttempts,
    epoch: state.epoch,
    kind: spec.kind,
    target: spec.target,
    lane: spec.lane,
    pool: spec.pool,
    labels: spec.labels,
    timeoutMs: spec.timeoutMs,
    startAtMs: spec.startAtMs,
    startByMs: spec.startByMs,
    wakeAtMs: state.wakeAtMs,
    worker: holder?.worker ?? null,
    containerId: holder?.containerId ?? null,
    stopRequested: state.stop?.mode ?? null,
    result: state.result,
    history: state.history,
    outputPurged,
    submittedAtMs: state.submittedAtMs,
    updatedAtMs: state.updatedAtMs,
    endedAtMs: state.endedAtMs,
    seq,
  }
}

/** What is left to say of a task that retention has taken away: enough to recognise a repeated submit. */
export const viewOfTombstone = (tombstone: TombstoneRecord, seq: number): TaskView => ({
  id: tombstone.id,
  owner: tombstone.owner,
  status: tombstone.status as Status,
  phase: "ended",
  waitingFor: null,
  attempt: 1,
  maxAttempts: 1,
  epoch: 0,
  kind: "handler",
  target: "",
  lane: "normal",
  pool: "",
  labels: {},
  timeoutMs: 0,
  startAtMs: null,
  startByMs: null,
  wakeAtMs: null,
  worker: null,
  containerId: null,
  stopRequested: null,
  result: null,
  history: [],
  outputPurged: true,
  submittedAtMs: tombstone.submittedAtMs,
  updatedAtMs: tombstone.atMs,
  endedAtMs: tombstone.atMs,
  seq,
})
