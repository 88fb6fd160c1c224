/** Writing the read model: what a batch of entries does to rows, and the whole model anew from a log. */
import { Effect } from "effect"
import { asBerthError, type BerthError } from "../../core/errors.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import type { LogEntry } from "../../core/record.ts"
import { type Changes, foldInto, noChanges, touchedBy } from "../shared/fold.ts"
import { type BatchRow, writeBatch } from "./batch.ts"
import { type Connection, type Row, transaction } from "./connection.ts"
import { ENTRY, entryOf } from "./entries.ts"
import { COLUMNS, rowOf } from "./rows.ts"
import { createModel } from "./schema.ts"

const REBUILD_PAGE = 500

/** Changes the rows that these entries touch. Inside somebody's transaction. */
export const applyEntries = (on: Connection, entries: readonly LogEntry[]): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const ids = [...new Set(entries.flatMap(touchedBy))]
    const found = yield* on.all(
      `select ${COLUMNS} from tasks where id in (select value from json_each(?))`,
      JSON.stringify(ids),
    )
    const { before, changes } = yield* attempt(() => {
      const before = new Map<string, TaskRow>(found.map((row) => [String(row["id"]), rowOf(row)]))
      const changes = noChanges()
      for (const entry of entries) foldInto(changes, entry, (id) => before.get(id) ?? null)
      return { before, changes }
    })
    const written: BatchRow[] = []
    for (const [id, after] of changes.rows) {
      if (after !== null) written.push({ before: before.get(id) ?? null, after, stateJson: null })
    }
    yield* writeBatch(on, [], written)
    yield* removeRows(on, removed(changes))
    yield* writeTombstones(on, [...changes.tombstones])
  })

const removed = (changes: Changes): readonly string[] =>
  [...changes.rows].filter(([, row]) => row === null).map(([id]) => id)

export const removeRows = (on: Connection, ids: readonly string[]): Effect.Effect<void, BerthError> => {
  if (ids.length === 0) return Effect.void
  const json = JSON.stringify(ids)
  return Effect.andThen(
    on.run("delete from tasks where id in (select value from json_each(?))", json),
    on.run("delete from labels where task_id in (select value from json_each(?))", json),
  )
}

export const writeTombstones = (
  on: Connection,
  tombstones: readonly (readonly [string, number | null])[],
): Effect.Effect<void, BerthError> => {
  if (tombstones.length === 0) return Effect.void
  const gone = tombstones.filter(([, atMs]) => atMs === null).map(([id]) => id)
  const made = tombstones.filter(([, atMs]) => atMs !== null)
  return Effect.andThen(
    on.run("delete from tombstones where id in (select value from json_each(?))", JSON.stringify(gone)),
    on.run("insert or replace into tombstones select value->>0, value->>1 from json_each(?)", JSON.stringify(made)),
  )
}

/**
 * Throws the read model away and folds it anew from the log beside it, in one transaction. A task whose last record is
 * damaged gets no row: nobody acts on what it was before, and whoever asks for it is told STORE_CORRUPT by the log.
 */
export const rebuildReadModel = (on: Connection): Effect.Effect<void, BerthError> =>
  transaction(
    on,
    Effect.gen(function* () {
      yield* createModel(on)
      const unreadable = new Set<string>()
      let afterSeq = 0
      for (;;) {
        const rows = yield* on.all(
          `select ${ENTRY} from entries where seq > ? order by seq limit ?`,
          afterSeq,
          REBUILD_PAGE,
        )
        if (rows.length === 0) break
        yield* applyEntries(on, yield* attempt(() => readable(rows, unreadable)))
        afterSeq = Number(rows.at(-1)?.["seq"])
      }
      yield* removeRows(on, [...unreadable])
    }),
  )

/** The entries of these rows, without the damaged ones. `unreadable` has the tasks of which the newest record is one of those. */
function readable(rows: readonly Row[], unreadable: Set<string>): readonly LogEntry[] {
  const entries: LogEntry[] = []
  for (const row of rows) {
    try {
      const entry = entryOf(row)
      entries.push(entry)
      for (const id of taskOfState(entry.subject)) unreadable.delete(id)
    } catch (error) {
      if (asBerthError(error).code !== "STORE_CORRUPT") throw error
      for (const id of taskOfState(String(row["subject"]))) unreadable.add(id)
    }
  }
  return entries
}

/** The task that a subject holds the states of; none for other subjects. */
const taskOfState = (subject: string): readonly string[] => {
  const id = /^t\.(.+)\.s$/.exec(subject)?.[1]
  return id === undefined ? [] : [id]
}

/** What `body` throws, as a typed error. */
export const attempt = <A>(body: () => A): Effect.Effect<A, BerthError> =>
  Effect.try({ try: body, catch: asBerthError })
