/** A read model of its own, for a node whose log is elsewhere: the same tables as beside the log, and a checkpoint. */
import { Effect, type Scope, Semaphore } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import { type LogEntry, stateSubject } from "../../core/record.ts"
import { isAtRest } from "../../core/words.ts"
import { attempt, foldEntries, isRowsOnly, writeFolded, writtenRows } from "./apply.ts"
import { prepareBatch, writeBatch } from "./batch.ts"
import { type Connection, openConnection, type Row, transaction } from "./connection.ts"
import { clearDamage, isDamaged, noteDamage } from "./damage.ts"
import { ENTRY, entryOf } from "./entries.ts"
import { makeQueries } from "./queries.ts"
import { RecentRows } from "./recentRows.ts"
import { CHECKPOINT, createModel, getMeta, MODEL_VERSION, setMeta, tune } from "./schema.ts"

/** Names the log that the model is a fold of. */
export const LOG = "log"

/**
 * Opens or makes the model at `path`. One of another version or log, or one that was found damaged, begins again at 0:
 * whoever applies entries goes by the checkpoint.
 */
export const openReadModel = (path: string, log = ""): Effect.Effect<ReadModel["Service"], BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const on = yield* Effect.acquireRelease(openConnection(path, "write"), (connection) => connection.close)
    yield* tune(on)
    // A fold of the log: what a power cut takes is folded again.
    yield* on.run("pragma synchronous = normal")
    yield* on.exec("create table if not exists meta (name text primary key, value text not null) strict")
    yield* prepareBatch(on, false)
    const isOfLog = ((yield* getMeta(on, LOG)) ?? log) === log
    if (isDamaged(path) || !isOfLog || (yield* getMeta(on, "model")) !== MODEL_VERSION) {
      const anew = Effect.all([createModel(on), setMeta(on, CHECKPOINT, "0"), setMeta(on, LOG, log)])
      yield* transaction(on, anew)
      clearDamage(path)
    }
    let checkpoint = Number(yield* getMeta(on, CHECKPOINT))
    const recent = new RecentRows()
    const apply = (entries: readonly LogEntry[]): Effect.Effect<void, BerthError> => {
      const fresh = entries.filter((entry) => entry.seq > checkpoint)
      const last = fresh.at(-1)
      if (last === undefined) return Effect.void
      return Effect.gen(function* () {
        const folded = yield* foldEntries(on, fresh, recent)
        // What is written most is one statement, and so a transaction by itself.
        yield* isRowsOnly(folded.changes)
          ? writeBatch(on, [], writtenRows(folded), last.seq)
          : transaction(on, Effect.andThen(writeFolded(on, folded), setMeta(on, CHECKPOINT, String(last.seq))))
        checkpoint = last.seq
        for (const [id, row] of folded.changes.rows) recent.note(id, row)
      })
    }
    const oneAtATime = yield* Semaphore.make(1)
    return {
      ...makeQueries(on, { note: () => noteDamage(path), fromLog: () => Effect.succeed(null) }),
      apply: (entries) => oneAtATime.withPermits(1)(Effect.suspend(() => apply(entries))),
      checkpoint: Effect.sync(() => checkpoint),
    }
  })

/** The row of a task at rest is its last record and whether its output was purged, so it need not wait for a new fold. */
const restRowFromLog = (on: Connection, stored: Row): Effect.Effect<TaskRow | null, BerthError> =>
  Effect.flatMap(
    on.all(
      `select ${ENTRY} from entries where subject = ? order by seq desc limit 1`,
      stateSubject(String(stored["id"])),
    ),
    ([last]) =>
      attempt(() => {
        if (last === undefined) return null
        const { record, seq } = entryOf(last)
        if (record.kind !== "task" || !isAtRest(record.state.status)) return null
        return { state: record.state, seq, admitted: null, outputPurged: stored["purged"] === 1 }
      }),
  )

/** Beside a log: entries arrive by the log's own commits, so there is nothing to apply. */
export const besideLog = (reader: Connection, path: string, head: Effect.Effect<number>): ReadModel["Service"] => ({
  ...makeQueries(reader, { note: () => noteDamage(path), fromLog: (stored) => restRowFromLog(reader, stored) }),
  apply: (entries) =>
    Effect.flatMap(head, (seq) =>
      entries.every((entry) => entry.seq <= seq)
        ? Effect.void
        : Effect.fail(berthError("INTERNAL", "these entries are not from the log of this read model")),
    ),
  checkpoint: head,
})
