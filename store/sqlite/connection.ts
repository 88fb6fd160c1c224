/**
 * The only file that knows `sqlite3`. One connection: statements are prepared once, errors become typed ones by their result code.
 *
 *   K1. A statement is always run to its end, so that no read transaction stays open behind it.
 *   K2. An I/O error on a full disk is STORAGE_FULL, whichever call met it.
 *   K3. Every call comes back, also one whose statement does not compile or whose database is locked.
 */
import { statfsSync } from "node:fs"
import { dirname } from "node:path"
import { Effect } from "effect"
import sqlite3 from "sqlite3"
import { berthError, type BerthError, type ErrorCode } from "../../core/errors.ts"

/** 3.51.3 is the first release without a known way to lose a committed transaction at a WAL reset. */
const SQLITE_VERSION_MIN = 3_051_003
/** Below this, an I/O error is taken for a full disk. */
const ROOM_BYTES_MIN = 1024 * 1024

export type Value = string | number | null | Uint8Array
export type Row = Readonly<Record<string, Value>>

export interface Connection {
  readonly path: string
  /** One statement, for its effect. */
  readonly run: (sql: string, ...values: readonly Value[]) => Effect.Effect<void, BerthError>
  /** One statement, for its rows. */
  readonly all: (sql: string, ...values: readonly Value[]) => Effect.Effect<readonly Row[], BerthError>
  /** Several statements without values. */
  readonly exec: (sql: string) => Effect.Effect<void, BerthError>
  readonly close: Effect.Effect<void>
}

export type OpenMode = "write" | "read"

/** Opens a database file, made anew in mode `write` when there is none. */
export const openConnection = (path: string, mode: OpenMode): Effect.Effect<Connection, BerthError> =>
  Effect.suspend(() => {
    if (sqlite3.VERSION_NUMBER < SQLITE_VERSION_MIN) {
      return Effect.fail(
        berthError("CONFIG_INVALID", `SQLite ${sqlite3.VERSION} is too old: at least 3.51.3 is needed`),
      )
    }
    const flags = mode === "write" ? sqlite3.OPEN_READWRITE | sqlite3.OPEN_CREATE : sqlite3.OPEN_READONLY
    return Effect.callback<sqlite3.Database, BerthError>((resume) => {
      const database = new sqlite3.Database(path, flags | sqlite3.OPEN_FULLMUTEX, (error) =>
        resume(error === null ? Effect.succeed(database) : Effect.fail(typed(error, path))),
      )
    }).pipe(Effect.map((database) => connection(database, path)))
  })

/** `body` in one transaction: all of it, or nothing. */
export const transaction = <A>(on: Connection, body: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
  Effect.uninterruptible(
    Effect.andThen(
      on.run("begin immediate"),
      Effect.onError(
        Effect.tap(body, () => on.run("commit")),
        // A full disk may have rolled back by itself; then there is nothing left to roll back.
        () => Effect.ignore(on.run("rollback")),
      ),
    ),
  )

function connection(database: sqlite3.Database, path: string): Connection {
  const statements = new Map<string, sqlite3.Statement>()
  /** A statement that failed to compile never calls back (K3), so a new one is waited for before it is used. */
  const withStatement = (
    sql: string,
    use: (statement: sqlite3.Statement) => void,
    fail: (error: Error) => void,
  ): void => {
    const known = statements.get(sql)
    if (known !== undefined) return use(known)
    const statement = database.prepare(sql, (error) => {
      if (error !== null) return fail(error)
      // Two that compiled the same text at once: one is enough.
      if (statements.has(sql)) statement.finalize()
      else statements.set(sql, statement)
      use(statements.get(sql) as sqlite3.Statement)
    })
  }
  const done =
    <A>(resume: (effect: Effect.Effect<A, BerthError>) => void) =>
    (error: Error | null, value?: A): void =>
      resume(error === null ? Effect.succeed(value as A) : Effect.fail(typed(error, path)))
  return {
    path,
    run: (sql, ...values) =>
      Effect.callback<void, BerthError>((resume) => {
        const finish = done<void>(resume)
        withStatement(sql, (statement) => void statement.run(values, (error: Error | null) => finish(error)), finish)
      }),
    all: (sql, ...values) =>
      Effect.callback<readonly Row[], BerthError>((resume) => {
        const finish = done<readonly Row[]>(resume)
        withStatement(sql, (statement) => void statement.all<Row>(values, finish), finish)
      }),
    exec: (sql) => Effect.callback<void, BerthError>((resume) => void database.exec(sql, done<void>(resume))),
    close: Effect.callback<void>((resume) => {
      for (const statement of statements.values()) statement.finalize()
      statements.clear()
      database.close(() => resume(Effect.void))
    }),
  }
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  [sqlite3.FULL]: "STORAGE_FULL",
  [sqlite3.IOERR]: "STORE_UNAVAILABLE",
  [sqlite3.BUSY]: "STORE_UNAVAILABLE",
  [sqlite3.LOCKED]: "STORE_UNAVAILABLE",
  [sqlite3.CANTOPEN]: "STORE_UNAVAILABLE",
  [sqlite3.READONLY]: "STORE_UNAVAILABLE",
  [sqlite3.NOMEM]: "STORE_UNAVAILABLE",
  [sqlite3.CORRUPT]: "STORE_CORRUPT",
  [sqlite3.NOTADB]: "STORE_CORRUPT",
  [sqlite3.TOOBIG]: "TOO_LARGE",
}

/** Extended result codes carry the primary one in their low byte. */
const resultOf = (error: unknown): number => ((error as { readonly errno?: number } | undefined)?.errno ?? 0) & 0xff

/** Whether a call failed because another connection, of whichever process, has the database. */
export const isBusy = (error: BerthError): boolean => resultOf(error.cause) === sqlite3.BUSY

function typed(error: Error, path: string): BerthError {
  const result = resultOf(error)
  const code = CODES[result] ?? "INTERNAL"
  const isFull = result === sqlite3.IOERR && roomBytes(path) < ROOM_BYTES_MIN
  return berthError(isFull ? "STORAGE_FULL" : code, `${path}: ${error.message}`, { cause: error })
}

/** Free bytes of the file system that holds `path`. */
export function roomBytes(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(dirname(path))
    return bavail * bsize
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
