/**
 * The read model's fold: one row per task, made from its last record and its last admission alone. Every adapter stores
 * these rows; what a row means is decided here.
 */
import { isAtRest, isDeadLetter, type Lane, type Status } from "../words.ts"
import type { LogEntry, Seq } from "../record.ts"
import { nextEpoch, type TaskState } from "../task/state.ts"

/** Raised whenever rows change shape or meaning: a model of another version is thrown away and folded again. */
export const READ_MODEL_VERSION = 2

export interface TaskRow {
  readonly state: TaskState
  /** Sequence of the task's last state record: its version. */
  readonly seq: Seq
  /** Newest admission that held when it was made, or null; a task at rest has none. It holds a slot while `holdsSlot`. */
  readonly admitted: { readonly epoch: number; readonly seq: Seq } | null
  /** Output was purged by retention. */
  readonly outputPurged: boolean
}

export interface ListQuery {
  /** Null: of every owner. */
  readonly owner: string | null
  readonly statuses?: readonly Status[]
  readonly lanes?: readonly Lane[]
  /** Only dead letters. */
  readonly dead?: boolean
  /** All of these must match. */
  readonly labels?: Readonly<Record<string, string>>
  readonly submittedAfterMs?: number
  readonly submittedBeforeMs?: number
  /** As given by the page before; null: from the newest. */
  readonly cursor: string | null
  readonly rowsMax: number
}

export interface ListPage {
  readonly rows: readonly TaskRow[]
  readonly nextCursor: string | null
}

export interface Counts {
  readonly byStatus: Readonly<Record<Status, number>>
  readonly pendingByLane: Readonly<Record<Lane, number>>
  readonly slotsHeld: number
}

/** A slot is derived, never counted: held from the admission until the record that ends, loses or suspends the attempt (I6). */
export const holdsSlot = (row: Pick<TaskRow, "state" | "admitted">): boolean =>
  row.state.status === "running" ||
  (row.state.status === "pending" && row.admitted !== null && row.admitted.epoch === nextEpoch(row.state))

/** What a waiting task waits for next: its delay, then its start limit. Null when no time concerns it. */
export function dueAtMs(state: TaskState): number | null {
  if (state.status !== "pending") return null
  const times = [state.wakeAtMs, state.spec.startByMs].filter((at) => at !== null)
  return times.length === 0 ? null : Math.min(...times)
}

export const isDead = (state: TaskState): boolean => isDeadLetter(state.status)

/** What one entry does to one task's row. `null` as row: none yet; as answer: the row goes away. */
export function foldRow(row: TaskRow | null, entry: LogEntry): TaskRow | null {
  const { record, seq } = entry
  switch (record.kind) {
    case "task": {
      const { state } = record
      const rests = isAtRest(state.status)
      // A task that ended before it started and is retried waits for the same epoch again: its old admission must not count.
      const admitted = rests ? null : (row?.admitted ?? null)
      // Who runs again will print again, and that output has its own time.
      return { state, seq, admitted, outputPurged: rests && (row?.outputPurged ?? false) }
    }
    case "tombstone":
      return null
    case "output":
    case "control":
      return row
  }
}

/** What one admission does to its task's row; one that came too late for its task does nothing. */
export const foldAdmission = (row: TaskRow, epoch: number, seq: Seq): TaskRow =>
  row.state.status === "pending" && epoch === nextEpoch(row.state) ? { ...row, admitted: { epoch, seq } } : row
