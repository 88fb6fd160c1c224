/**
 * Tables. The log's are changed by numbered migrations, forward only, each in one transaction; its number is `user_version`.
 * The read model's are a fold: when their version differs they are thrown away and made anew from the log.
 */
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import { READ_MODEL_VERSION } from "../../core/readmodel/row.ts"
import { ROW_VERSION } from "../shared/rowCodec.ts"
import { type Connection, transaction } from "./connection.ts"

export const DATABASE_FILE = "berth.db"

/** Never change one that was released; add the next. */
const MIGRATIONS: readonly string[] = [
  `create table entries (
     seq integer primary key,
     subject text not null,
     sum integer not null,
     body blob not null
   ) strict;
   create index entries_subject on entries (subject, seq);
   create table meta (name text primary key, value text not null) strict;`,
  `create table secrets (
     owner text not null,
     name text not null,
     sealed blob not null,
     primary key (owner, name)
   ) strict, without rowid;`,
]
export const SCHEMA_VERSION = MIGRATIONS.length

/** In `meta` of a model whose log is elsewhere: where it has read to. */
export const CHECKPOINT = "checkpoint"

/** Raised when the tables below change; together with the fold's and the rows' own versions it names the model. */
const TABLES_VERSION = 2
export const MODEL_VERSION = `${READ_MODEL_VERSION}.${ROW_VERSION}.${TABLES_VERSION}`

const MODEL = `
  drop table if exists tasks;
  drop table if exists labels;
  drop table if exists tombstones;
  create table tasks (
    id text primary key not null,
    owner text not null,
    status integer not null,
    lane integer not null,
    submitted_at real not null,
    due_at real,
    ended_at real,
    dead integer not null,
    slot integer not null,
    purged integer not null,
    body blob not null
  ) strict;
  create index tasks_owner on tasks (owner, submitted_at, id);
  create index tasks_submitted on tasks (submitted_at, id);
  create index tasks_open on tasks (status, id) where status < 2;
  create index tasks_dead on tasks (submitted_at, id) where dead = 1;
  create index tasks_due on tasks (due_at, id) where due_at is not null;
  create index tasks_ended on tasks (purged, ended_at, id) where ended_at is not null;
  create index tasks_counts on tasks (owner, status, lane, slot);
  create table labels (
    name text not null, value text not null, task_id text not null,
    primary key (name, value, task_id)
  ) strict, without rowid;
  create index labels_task on labels (task_id);
  create table tombstones (id text primary key not null, at real not null) strict, without rowid;
  create index tombstones_at on tombstones (at, id);`

/** Settings of a writing connection. */
export const tune = (on: Connection): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    yield* on.run("pragma page_size = 8192")
    yield* on.all("pragma journal_mode = wal")
    yield* on.run("pragma synchronous = full")
    yield* on.run("pragma cache_size = -32768")
    yield* on.all("pragma wal_autocheckpoint = 2000")
    yield* on.all("pragma journal_size_limit = 67108864")
    yield* on.all("pragma busy_timeout = 5000")
  })

/** Brings a log's schema up to date. SCHEMA_TOO_NEW when it was written by a later version. */
export const migrate = (on: Connection, migrations: readonly string[] = MIGRATIONS): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const [row] = yield* on.all("pragma user_version")
    const version = Number(row?.["user_version"])
    if (version > migrations.length) {
      const message = `${on.path} has schema ${version}; this Berth knows up to ${migrations.length}`
      return yield* Effect.fail(berthError("SCHEMA_TOO_NEW", message))
    }
    for (const [index, sql] of migrations.entries()) {
      if (index < version) continue
      yield* transaction(on, Effect.andThen(on.exec(sql), on.run(`pragma user_version = ${index + 1}`)))
    }
  })

/** Empty tables of the read model. Inside somebody's transaction. */
export const createModel = (on: Connection): Effect.Effect<void, BerthError> =>
  Effect.andThen(on.exec(MODEL), setMeta(on, "model", MODEL_VERSION))

export const getMeta = (on: Connection, name: string): Effect.Effect<string | null, BerthError> =>
  Effect.map(
    on.all("select value from meta where name = ?", name),
    (rows) => (rows[0]?.["value"] as string | undefined) ?? null,
  )

export const setMeta = (on: Connection, name: string, value: string): Effect.Effect<void, BerthError> =>
  on.run("insert into meta values (?, ?) on conflict do update set value = excluded.value", name, value)
