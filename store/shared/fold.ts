/**
 * A batch of log entries as changes of the read model, the same for every adapter (RM2): rows by core's fold, tombstones beside.
 * Pure: what is stored before comes through `rowOf`.
 */
import { berthError } from "../../core/errors.ts"
import { foldAdmission, foldRow, type TaskRow } from "../../core/readmodel/row.ts"
import type { LogEntry } from "../../core/record.ts"
import { isAtRest } from "../../core/words.ts"

export interface Changes {
  /** By task id; null: the row goes away. */
  readonly rows: Map<string, TaskRow | null>
  /** By task id, when the tombstone was made; null: it goes away. */
  readonly tombstones: Map<string, number | null>
}

export const noChanges = (): Changes => ({ rows: new Map(), tombstones: new Map() })

/** Adds what one entry does to `changes`. Throws BerthError SCHEMA_TOO_NEW for a kind of record that nobody here knows (RM6). */
export function foldInto(changes: Changes, entry: LogEntry, rowOf: (taskId: string) => TaskRow | null): void {
  const current = (id: string): TaskRow | null => {
    const staged = changes.rows.get(id)
    return staged === undefined ? rowOf(id) : staged
  }
  const { record } = entry
  switch (record.kind) {
    case "output":
      return
    case "task":
      changes.rows.set(record.state.id, foldRow(current(record.state.id), entry))
      changes.tombstones.set(record.state.id, null)
      return
    case "tombstone":
      changes.rows.set(record.id, foldRow(current(record.id), entry))
      changes.tombstones.set(record.id, record.atMs)
      return
    case "control":
      if (record.fact.type === "purged") return purge(changes, record.fact, current)
      if (record.fact.type !== "admitted") return
      for (const { taskId, epoch } of record.fact.admissions) {
        const row = current(taskId)
        if (row !== null) changes.rows.set(taskId, foldAdmission(row, epoch, entry.seq))
      }
      return
    default:
      throw berthError("SCHEMA_TOO_NEW", `record ${entry.seq} is of an unknown kind`)
  }
}

/** Removed is removed: what has come back since, as a task that runs again, has its own time. */
function purge(
  changes: Changes,
  { outputs, tombstones }: { readonly outputs: readonly string[]; readonly tombstones: readonly string[] },
  current: (id: string) => TaskRow | null,
): void {
  for (const id of outputs) {
    const row = current(id)
    if (row !== null && isAtRest(row.state.status)) changes.rows.set(id, { ...row, outputPurged: true })
  }
  for (const id of tombstones) if (current(id) === null) changes.tombstones.set(id, null)
}

/** Ids of the tasks whose rows an entry may change. */
export function touchedBy(entry: LogEntry): readonly string[] {
  const { record } = entry
  if (record.kind === "task") return [record.state.id]
  if (record.kind === "tombstone") return [record.id]
  if (record.kind === "control" && record.fact.type === "admitted") return record.fact.admissions.map((a) => a.taskId)
  if (record.kind === "control" && record.fact.type === "purged")
    return [...record.fact.outputs, ...record.fact.tombstones]
  return []
}
