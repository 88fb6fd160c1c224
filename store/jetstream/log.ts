/**
 * The log as one stream: `t.<id>.s`, `t.<id>.o` and `control` below the cluster's prefix.
 *
 *   JL1. Compare-and-set is the broker's expected last sequence of the subject; an empty subject is at 0.
 *   JL2. Loads ask the stream's leader. A leader that was cut off and does not know it yet may answer from before; what is
 *        decided on that answer cannot be written, because the append asks a quorum (with replicas).
 *   JL3. A burial is the tombstone's append, then the purge of what is before it. Who finds the tombstone in the place of
 *        the record that it wanted to bury finishes the purge, so that a crash in between leaves nothing for ever. Who may
 *        not purge asks somebody who may: burials.ts.
 */
import { Effect, type Scope } from "effect"
import { asBerthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import {
  CONTROL_SUBJECT,
  type LogEntry,
  type LogRecord,
  outputSubject,
  type Seq,
  stateSubject,
  type TaskRecord,
  type TombstoneRecord,
} from "../../core/record.ts"
import { decodeRecord, encodeRecord } from "../shared/codec.ts"
import { writeLevel } from "../shared/writeLevel.ts"
import type { Stored } from "./answers.ts"
import type { Burials } from "./burials.ts"
import type { Link } from "./link.ts"
import type { Kept } from "./durability.ts"
import { readPage } from "./pages.ts"
import { Recent } from "./recent.ts"
import { makeSharedFeed } from "./sharedFeed.ts"
import { logPrefix, type Names } from "./token.ts"

type Found = Effect.Effect<LogEntry | null, BerthError>

export function makeLog(
  link: Link,
  names: Names,
  clock: Clock["Service"],
  kept: Kept,
  burials: Burials,
): Effect.Effect<EventLog["Service"], never, Scope.Scope> {
  const stream = names.logStream
  const prefix = logPrefix(names)
  const ours = writeLevel()
  const recent = new Recent()
  const full = (subject: string): string => `${prefix}${subject}`

  const decode = (seq: Seq, subject: string, bytes: Uint8Array): LogEntry => {
    const own = subject.slice(prefix.length)
    return { seq, subject: own, record: recent.find(bytes) ?? decodeRecord(bytes, `record ${seq} of ${own}`) }
  }
  const encoded = (record: LogRecord): Uint8Array => {
    const bytes = encodeRecord(record, ours.level())
    recent.add(record, bytes)
    return bytes
  }
  const entryOf = (stored: Stored | null): Found =>
    Effect.try({
      try: () => (stored === null ? null : decode(stored.seq, stored.subject, stored.data)),
      catch: asBerthError,
    })
  const write = (subject: string, record: LogRecord, expected?: Seq): Effect.Effect<Seq, BerthError> =>
    Effect.flatMap(Effect.try({ try: () => encoded(record), catch: asBerthError }), (bytes) =>
      link.publish(full(subject), bytes, expected),
    )
  const last = (subject: string): Found => Effect.flatMap(link.lastOf(stream, full(subject)), entryOf)
  const after = (subject: string, afterSeq: Seq): Found =>
    Effect.flatMap(link.firstAfter(stream, full(subject), afterSeq), entryOf)

  const readTask = (taskId: string, afterSeq: Seq, entriesMax: number) =>
    readPage({ link, clock, stream, decode }, full(`t.${taskId}.*`), afterSeq, entriesMax)
  const head = Effect.map(
    link.look("reading the log's head", () => link.jsm.streams.info(stream)),
    ({ state }) => state.last_seq,
  )
  /** Where the tombstone is: appended now, or by somebody who did not come to the end of it (JL3). */
  const bury = (taskId: string, expected: Seq, tombstone: TombstoneRecord) =>
    write(stateSubject(taskId), tombstone, expected).pipe(
      Effect.catch((error) =>
        error.code !== "VERSION_CONFLICT"
          ? Effect.fail(error)
          : Effect.flatMap(after(stateSubject(taskId), expected), (winner) =>
              winner?.record.kind === "tombstone" ? Effect.succeed(winner.seq) : Effect.fail(error),
            ),
      ),
    )

  return Effect.map(makeSharedFeed({ link, clock, stream, head, decode }), (feed) => {
    const purge = (subject: string, beforeSeq?: Seq) =>
      Effect.ensuring(link.purge(stream, full(subject), beforeSeq), Effect.sync(feed.removed))
    const purgeOutput = (taskId: string) => purge(outputSubject(taskId))
    /** Bounded by a head from before the look: a purge may come late, when the id has a task again. */
    const forget = (taskId: string) =>
      Effect.gen(function* () {
        const before = (yield* head) + 1
        if ((yield* last(stateSubject(taskId)))?.record.kind !== "tombstone") return
        yield* purge(outputSubject(taskId), before)
        yield* purge(stateSubject(taskId), before)
      })
    return {
      append: (subject, expected, record) => write(subject, record, expected),
      appendOutput: (taskId, record) => write(outputSubject(taskId), record),
      last: (taskId) =>
        last(stateSubject(taskId)) as Effect.Effect<LogEntry<TaskRecord | TombstoneRecord> | null, BerthError>,
      lastControl: last(CONTROL_SUBJECT),
      after,
      readTask,
      feed: feed.after,
      head,
      purgeOutput,
      entomb: (taskId, expected, tombstone) =>
        Effect.gen(function* () {
          const seq = yield* bury(taskId, expected, tombstone)
          yield* Effect.ensuring(burials.finish(taskId, seq), Effect.sync(feed.removed))
          return seq
        }),
      forget,
      trimControl: (beforeSeq) =>
        Effect.flatMap(last(CONTROL_SUBJECT), (newest) => {
          // The one that is last now stays. To the broker, a purge before nothing is a purge of everything.
          const before = Math.min(beforeSeq, newest?.seq ?? 0)
          return before > 1 ? purge(CONTROL_SUBJECT, before) : Effect.void
        }),
      ...kept,
      ...ours,
    }
  })
}
