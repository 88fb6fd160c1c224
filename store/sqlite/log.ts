/** The event log over one SQLite file: writes through the group commit, reads from what is hot, else from a connection of their own. */
import { Effect } from "effect"
import { BerthError } from "../../core/errors.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import {
  ANY_SUBJECT,
  type LogEntry,
  type LogRecord,
  outputSubject,
  type Seq,
  stateSubject,
  type TaskRecord,
  type TombstoneRecord,
} from "../../core/record.ts"
import { encode } from "../shared/codec.ts"
import { feedFrom } from "../shared/feed.ts"
import { writeLevel } from "../shared/writeLevel.ts"
import { attempt } from "./apply.ts"
import type { Connection } from "./connection.ts"
import { ENTRY, entryOf } from "./entries.ts"
import { type Known, readTasks } from "./known.ts"
import { checkedId, taskOfSubject } from "./plan.ts"
import type { Writer } from "./writer.ts"

/** Entries of one page of the feed from the disk; with the largest records that is 64 MiB. */
const PAGE_MAX = 250

const OF_ONE = `select ${ENTRY} from entries where subject = ? and seq > ? order by seq limit ?`
// Pages end at the head that the process knows: what is on the disk beyond it, `last` does not know yet (EL4).
const OF_TASK = `
  select * from (select ${ENTRY} from entries where subject = ?1 and seq > ?3 and seq <= ?5 order by seq limit ?4)
  union all
  select * from (select ${ENTRY} from entries where subject = ?2 and seq > ?3 and seq <= ?5 order by seq limit ?4)
  order by seq limit ?4`
const OF_ALL = `select ${ENTRY} from entries where seq > ? and seq <= ? order by seq limit ?`

export function makeLog(known: Known, writer: Writer, reader: Connection): EventLog["Service"] {
  const read = (sql: string, ...values: readonly (string | number)[]): Effect.Effect<readonly LogEntry[], BerthError> =>
    Effect.flatMap(reader.all(sql, ...values), (rows) => attempt(() => rows.map(entryOf)))
  const page = (afterSeq: Seq, entriesMax: number) =>
    Effect.suspend(() => read(OF_ALL, afterSeq, known.tail.head, Math.min(entriesMax, PAGE_MAX)))
  const submitted = (work: () => Parameters<Writer["submit"]>[0]): Effect.Effect<Seq, BerthError> =>
    Effect.flatMap(attempt(work), writer.submit)
  const lastFromDisk = (taskId: string) =>
    known.remember(
      taskId,
      Effect.flatMap(readTasks(reader, [taskId]), (found) => {
        const task = found.get(taskId)
        if (task instanceof BerthError) return Effect.fail(task)
        return Effect.succeed(task ?? { last: null, row: null, bytes: 0 })
      }),
    )
  const ours = writeLevel()
  const encoded = <R extends LogRecord>(record: R) => ({ record, encoded: encode(record, ours.level()) })
  return {
    append: (subject, expected, record) =>
      submitted(() => ({ kind: "append", taskId: taskOfSubject(subject, record), expected, ...encoded(record) })),
    appendOutput: (taskId, record) =>
      submitted(() => ({ kind: "output", taskId: checkedId(taskId), ...encoded(record) })),
    last: (taskId) =>
      Effect.suspend(() => {
        const hot = known.hot(taskId)
        const task = hot === undefined ? lastFromDisk(taskId) : Effect.succeed(hot)
        return Effect.map(task, ({ last }) => last as LogEntry<TaskRecord | TombstoneRecord> | null)
      }),
    lastControl: Effect.sync(() => known.control),
    after: (subject, afterSeq) =>
      Effect.map(
        subject === ANY_SUBJECT ? page(afterSeq, 1) : read(OF_ONE, subject, afterSeq, 1),
        (entries) => entries[0] ?? null,
      ),
    readTask: (taskId, afterSeq, entriesMax) =>
      Effect.suspend(() =>
        read(OF_TASK, stateSubject(taskId), outputSubject(taskId), afterSeq, entriesMax, known.tail.head),
      ),
    feed: (afterSeq) => feedFrom(known.tail, page, afterSeq),
    head: Effect.sync(() => known.tail.head),
    purgeOutput: (taskId) => Effect.asVoid(writer.submit({ kind: "purgeOutput", taskId })),
    entomb: (taskId, expected, tombstone) =>
      submitted(() => ({ kind: "entomb", taskId, expected, ...encoded(tombstone) })),
    forget: (taskId) => Effect.asVoid(writer.submit({ kind: "forget", taskId })),
    trimControl: (beforeSeq) => Effect.asVoid(writer.submit({ kind: "trimControl", beforeSeq })),
    durability: "fsynced",
    replicas: 1,
    ...ours,
  }
}
