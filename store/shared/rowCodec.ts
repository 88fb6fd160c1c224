/** Rows of the read model as bytes: checksummed like records, so that a damaged row is reported and never returned (RM7). */
import type { TaskRow } from "../../core/readmodel/row.ts"
import { frame, unframe } from "./frame.ts"

/** Raised with the form of rows; a model with other rows is folded anew from the log. */
export const ROW_VERSION = 1

/** @param stateJson - the state as JSON where it is at hand already; else it is made here */
export function encodeRow(row: TaskRow, stateJson: string | null = null): Uint8Array {
  const admitted = row.admitted === null ? "null" : `{"epoch":${row.admitted.epoch},"seq":${row.admitted.seq}}`
  const state = stateJson ?? JSON.stringify(row.state)
  return frame(
    ROW_VERSION,
    `{"seq":${row.seq},"admitted":${admitted},"outputPurged":${row.outputPurged},"state":${state}}`,
  )
}

/** Throws BerthError: STORE_CORRUPT for damage, SCHEMA_TOO_NEW for rows of a later form. */
export const decodeRow = (bytes: Uint8Array, taskId: string): TaskRow =>
  JSON.parse(unframe(bytes, ROW_VERSION, `the row of task ${taskId}`).json) as TaskRow
