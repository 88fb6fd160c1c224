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
    owner: sqlText(state.owner),
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

/**
 * Text as SQLite keeps and compares it whole: it ends a text at a NUL, and lone surrogates have no UTF-8. Different texts
 * stay different.
 */
export const sqlText = (text: string): string =>
  text.replace(/[%\u0000\ud800-\udfff]/g, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** Throws BerthError STORE_CORRUPT when the body is damaged, or when a column is not what the body says. */
export function rowOf(stored: Row): TaskRow {
  const id = String(stored["id"])
  const row = decodeRow(stored["body"] as Uint8Array, id)
  for (const [name, value] of Object.entries(columnsOf(row))) {
    if (stored[name] !== value) throw corrupt(`the row of task ${id}`, `its column ${name} differs from its body`)
  }
  return row
}

/** The labels to write anew, as JSON pairs; null when they are as they were. */
export function changedLabels(before: TaskRow | null, after: TaskRow): string | null {
  const { labels } = after.state.spec
  if (before !== null && before.state.spec.labels === labels) return null
  if (JSON.stringify(labels) === JSON.stringify(before?.state.spec.labels ?? {})) return null
  return JSON.stringify(Object.entries(labels).map(([name, value]) => [sqlText(name), sqlText(value)]))
}
