/** A row of the read model as columns, and back. Columns are for choosing; the truth is the checksummed body (RM7). */
import { dueAtMs, holdsSlot, isDead, type TaskRow } from "../../core/readmodel/row.ts"
import { isAtRest, LANES, STATUSES } from "../../core/words.ts"
import { corrupt } from "../shared/frame.ts"
import { decodeRow } from "../shared/rowCodec.ts"
import type { Row } from "./connection.ts"

export interface Columns {
  readonly id: string
  readonly owner: string
  readonly status: number
  readonly lane: number
  readonly submitted_at: number
  readonly due_at: number | null
  readonly ended_at: number | null
  readonly dead: number
  readonly slot: number
  /** Output was purged. */
  readonly purged: number
}

export const COLUMNS = "id, owner, status, lane, submitted_at, due_at, ended_at, dead, slot, purged, body"

export function columnsOf(row: TaskRow): Columns {
  const { state } = row
  return {
    id: state.id,
    owner: state.owner,
    status: STATUSES.indexOf(state.status),
    lane: LANES.indexOf(state.spec.lane),
    submitted_at: state.submittedAtMs,
    due_at: dueAtMs(state),
    ended_at: isAtRest(state.status) ? (state.endedAtMs ?? state.updatedAtMs) : null,
    dead: isDead(state) ? 1 : 0,
    slot: holdsSlot(row) ? 1 : 0,
    purged: row.outputPurged ? 1 : 0,
  }
}

/** Throws BerthError STORE_CORRUPT when the body is damaged, or when a column is not what the body says. */
export function rowOf(stored: Row): TaskRow {
  const id = String(stored["id"])
  const row = decodeRow(stored["body"] as Uint8Array, id)
  for (const [name, value] of Object.entries(columnsOf(row))) {
    if (stored[name] !== value) throw corrupt(`the row of task ${id}`, `its column ${name} differs from its body`)
  }
  return row
}

/** The labels to write anew, as JSON; null when they are as they were. */
export function changedLabels(before: TaskRow | null, after: TaskRow): string | null {
  const { labels } = after.state.spec
  if (before !== null && before.state.spec.labels === labels) return null
  const json = JSON.stringify(labels)
  return json === JSON.stringify(before?.state.spec.labels ?? {}) ? null : json
}
