/** Writing the read model: what a batch of entries does to rows, and the whole model anew from a log. */
import { Effect } from "effect"
import { asBerthError, type BerthError } from "../../core/errors.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import { isFirst, type LogEntry } from "../../core/record.ts"
import { type Changes, foldInto, noChanges, touchedBy } from "../shared/fold.ts"
import { type BatchRow, writeBatch } from "./batch.ts"
import { type Connection, type Row, transaction } from "./connection.ts"
import { ENTRY, entryOf } from "./entries.ts"
import type { RecentRows } from "./recentRows.ts"
import { COLUMNS, rowOf } from "./rows.ts"
import { createModel } from "./schema.ts"

const REBUILD_PAGE = 500

/** What these entries change, over the rows that are there; those in `recent` are not read again. */
export const foldEntries = (
  on: Connection,
  entries: readonly LogEntry[],
  recent: RecentRows | null = null,
): Effect.Effect<Folded, BerthError> =>
  Effect.gen(function* () {
    const before = new Map<string, TaskRow>()
    const unknown = new Set<string>()
    const begun = new Set<string>()
    for (const entry of entries) {
      for (const id of touchedBy(entry)) {
        const known = recent?.get(id)
        if (known !== undefined) before.set(id, known)
        else if (recent !== null && isFirst(entry)) begun.add(id)
        else if (!begun.has(id)) unknown.add(id)
      }
    }
    if (unknown.size > 0) {
      const found = yield* on.all(
        `select ${COLUMNS} from tasks where id in (select value from json_each(?))`,
        JSON.stringify([...unknown]),
      )
      yield* attempt(() => {
        for (const row of found) before.set(String(row["id"]), rowOf(row))
      })
    }
    return yield* attempt(() => {
      const changes = noChanges()
      for (const entry of entries) foldInto(changes, entry, (id) => before.get(id) ?? null)
      return { before, changes }
    })
  })

export interface Folded {
  readonly before: ReadonlyMap<string, TaskRow>
  readonly changes: Changes
}

/** The rows to write; those that go away are not among them. */
export const writtenRows = ({ before, changes }: Folded): readonly BatchRow[] =>
  [...changes.rows].flatMap(([id, after]) =>
    after === null ? [] : [{ before: before.get(id) ?? null, after, stateJson: null }],
  )

/** Changes the rows that these entries touch. Inside somebody's transaction. */
export const writeFolded = (on: Connection, folded: Folded): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    yield* writeBatch(on, [], writtenRows(folded))
    yield* removeRows(on, removed(folded.changes))
    yield* writeTombstones(on, [...folded.changes.tombstones])
  })

/** True when rows are written and nothing else: no row goes away, no tombstone is made, and none is left without a row. */
export const isRowsOnly = ({ rows, tombstones }: Changes): boolean =>
  [...rows.values()].every((row) => row !== null) &&
  [...tombstones].every(([id, atMs]) => atMs === null && rows.has(id))

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
        const entries = yield* attempt(() => readable(rows, unreadable))
        yield* writeFolded(on, yield* foldEntries(on, entries))
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
