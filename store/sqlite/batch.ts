/**
 * All that one commit writes, as one statement: an insert into a view, whose triggers write entries, rows and labels. One
 * statement is one transaction by itself, so that a lone append costs one round trip, and a hundred cost one as well.
 *
 *   B1. Values go as one JSON array of lines; bytes go beside it as one blob that the lines point into.
 *   B2. Of a task that changes several times in a batch only the last row is written.
 *   B3. A checkpoint is written with the rows that it covers, or not at all.
 */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import type { Seq } from "../../core/record.ts"
import { encodeRow } from "../shared/rowCodec.ts"
import type { Connection } from "./connection.ts"
import { sumOf } from "./entries.ts"
import { changedLabels, columnsOf } from "./rows.ts"
import { CHECKPOINT } from "./schema.ts"

const VIEW = `
  create temp view batch as
    select 0 seq, '' subject, 0 sum, x'' body, '' id, '' owner, 0 status, 0 lane, 0 submitted_at, 0 due_at, 0 ended_at,
           0 dead, 0 slot, 0 purged, x'' row, '' labels;
  create temp trigger batch_row instead of insert on batch when new.id is not null begin
    insert into tasks values (new.id, new.owner, new.status, new.lane, new.submitted_at, new.due_at, new.ended_at,
                              new.dead, new.slot, new.purged, new.row)
      on conflict (id) do update set
        owner = excluded.owner, status = excluded.status, lane = excluded.lane, submitted_at = excluded.submitted_at,
        due_at = excluded.due_at, ended_at = excluded.ended_at, dead = excluded.dead, slot = excluded.slot,
        purged = excluded.purged, body = excluded.body;
  end;
  create temp trigger batch_labels instead of insert on batch when new.labels is not null begin
    delete from labels where task_id = new.id;
    insert into labels select value->>0, value->>1, new.id from json_each(new.labels);
  end;`
const LOG_TRIGGER = `
  create temp trigger batch_entry instead of insert on batch when new.seq is not null begin
    insert into entries values (new.seq, new.subject, new.sum, new.body);
  end;`
/** Of a model whose log is elsewhere: the checkpoint comes as a line with a sequence alone; who has a row has no tombstone. */
const MODEL_TRIGGERS = `
  create temp trigger batch_checkpoint instead of insert on batch when new.seq is not null begin
    insert into meta values ('${CHECKPOINT}', cast(new.seq as text)) on conflict (name) do update set value = excluded.value;
  end;
  create temp trigger batch_revived instead of insert on batch when new.id is not null begin
    delete from tombstones where id = new.id;
  end;`

const INSERT = `
  insert into batch
  select value->>0, value->>1, value->>2, iif(value->>0 is null, null, substr(?2, value->>3, value->>4)),
         value->>5, value->>6, value->>7, value->>8, value->>9, value->>10, value->>11, value->>12, value->>13, value->>14,
         iif(value->>5 is null, null, substr(?2, value->>15, value->>16)), value->>17
  from json_each(?1)`

/** What `writeBatch` needs on its connection. @param log - whether there are entries to write, or rows and a checkpoint */
export const prepareBatch = (on: Connection, log: boolean): Effect.Effect<void, BerthError> =>
  on.exec(VIEW + (log ? LOG_TRIGGER : MODEL_TRIGGERS))

export interface BatchEntry {
  readonly seq: Seq
  readonly subject: string
  readonly body: Uint8Array
}
export interface BatchRow {
  readonly before: TaskRow | null
  readonly after: TaskRow
  /** The state as JSON when it is at hand; else null. */
  readonly stateJson: string | null
}

type Line = (string | number | null)[]
const NO_ENTRY: Line = Array<null>(5).fill(null)
const NO_ROW: Line = Array<null>(13).fill(null)

/**
 * Writes entries and rows: in the transaction that is open, else in one of its own.
 *
 * @param checkpoint - where the log has been read to, for a model whose log is elsewhere
 */
export function writeBatch(
  on: Connection,
  entries: readonly BatchEntry[],
  rows: readonly BatchRow[],
  checkpoint: Seq | null = null,
): Effect.Effect<void, BerthError> {
  if (entries.length === 0 && rows.length === 0 && checkpoint === null) return Effect.void
  const parts: Uint8Array[] = []
  // SQL counts from one.
  let at = 1
  const place = (bytes: Uint8Array): [number, number] => {
    parts.push(bytes)
    const from = at
    at += bytes.byteLength
    return [from, bytes.byteLength]
  }
  const entryLine = ({ seq, subject, body }: BatchEntry): Line => [
    seq,
    subject,
    sumOf(seq, subject, body),
    ...place(body),
  ]
  const rowLine = ({ before, after, stateJson }: BatchRow): Line => {
    const c = columnsOf(after)
    const [from, bytes] = place(encodeRow(after, stateJson))
    const columns = [c.id, c.owner, c.status, c.lane, c.submitted_at, c.due_at, c.ended_at, c.dead, c.slot, c.purged]
    return [...columns, from, bytes, changedLabels(before, after)]
  }
  const lines: Line[] = []
  for (let i = 0; i < Math.max(entries.length, rows.length); i++) {
    const entry = entries[i]
    const row = rows[i]
    lines.push([...(entry === undefined ? NO_ENTRY : entryLine(entry)), ...(row === undefined ? NO_ROW : rowLine(row))])
  }
  if (checkpoint !== null) lines.push([checkpoint, ...NO_ENTRY.slice(1), ...NO_ROW])
  return on.run(INSERT, JSON.stringify(lines), Buffer.concat(parts))
}
