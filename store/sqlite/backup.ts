/**
 * Copies of a data directory, made while it is in use, and checked before they are taken back.
 *
 *   U1. The database is copied as of one moment; the blobs after it, so that every blob which its records name is there.
 *   U2. A backup is complete or it is not there: it is made under another name and renamed at the end.
 *   U3. `restore` never overwrites, and takes nothing that does not match its checksums.
 */
import { existsSync } from "node:fs"
import { cp, mkdir, readdir, readFile, rename, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Effect } from "effect"
import { berthError, BerthError } from "../../core/errors.ts"
import { attempt } from "./apply.ts"
import { checked, keysBelow } from "./blobs.ts"
import { type Connection, openConnection } from "./connection.ts"
import { ENTRY, entryOf } from "./entries.ts"
import { sync } from "./files.ts"
import { DATABASE_FILE as DATABASE, SCHEMA_VERSION } from "./schema.ts"

const BLOBS = "blobs"
/**
 * Belong to the running process or to the database itself, or are keys: whoever gets hold of a copy must neither make tokens
 * nor open secrets with it.
 */
const NOT_COPIED = /^berth\.(db|lock|reserve)|^secret$|^secrets\.key|\.new$|\.rebuild$/
const PAGE = 500

/** What a backup holds. */
export interface BackupSummary {
  readonly entries: number
  readonly blobs: number
}

/** Copies the store in `dataDir` to `target`, which must not exist; the server may go on meanwhile. */
export const backup = (dataDir: string, target: string): Effect.Effect<BackupSummary, BerthError> =>
  Effect.gen(function* () {
    if (!existsSync(join(dataDir, DATABASE)))
      return yield* Effect.fail(berthError("NOT_FOUND", `there is no store in ${dataDir}`))
    yield* mustNotExist(target)
    const partial = `${target}.partial`
    yield* io(partial, async () => {
      await rm(partial, { recursive: true, force: true })
      await mkdir(partial, { recursive: true, mode: 0o700 })
    })
    yield* withConnection(join(dataDir, DATABASE), (on) => on.run("vacuum into ?", join(partial, DATABASE)))
    yield* copyBlobs(dataDir, partial)
    yield* copyFiles(dataDir, partial)
    const summary = yield* verify(partial)
    yield* publish(partial, target)
    return summary
  })

/** Copies the backup in `source` to `dataDir`, which must hold no store. STORE_CORRUPT when anything in it is damaged. */
export const restore = (source: string, dataDir: string): Effect.Effect<BackupSummary, BerthError> =>
  Effect.gen(function* () {
    if (!existsSync(join(source, DATABASE)))
      return yield* Effect.fail(berthError("NOT_FOUND", `there is no backup in ${source}`))
    const inUse = existsSync(dataDir) && (yield* io(dataDir, () => readdir(dataDir))).length > 0
    if (inUse)
      return yield* Effect.fail(
        berthError("WRONG_STATE", `${dataDir} is not empty`, { hint: "Restore into a new directory." }),
      )
    const summary = yield* verify(source)
    const partial = `${dataDir}.partial`
    yield* io(partial, async () => {
      await rm(partial, { recursive: true, force: true })
      await mkdir(partial, { recursive: true, mode: 0o700 })
      await cp(join(source, DATABASE), join(partial, DATABASE))
    })
    yield* copyBlobs(source, partial)
    yield* copyFiles(source, partial)
    yield* io(dataDir, () => rm(dataDir, { recursive: true, force: true }))
    yield* publish(partial, dataDir)
    return summary
  })

/** Reads everything once and checks it: pages, records, blobs. */
const verify = (directory: string): Effect.Effect<BackupSummary, BerthError> =>
  Effect.gen(function* () {
    const entries = yield* withConnection(join(directory, DATABASE), verifyDatabase)
    const root = join(directory, BLOBS)
    const keys = yield* io(root, () => keysBelow(root, null))
    for (const key of keys) {
      const stored = yield* io(root, () => readFile(join(root, `${key}.blob`)))
      yield* attempt(() => checked(key, stored))
    }
    return { entries, blobs: keys.length }
  })

const verifyDatabase = (on: Connection): Effect.Effect<number, BerthError> =>
  Effect.gen(function* () {
    const [version] = yield* on.all("pragma user_version")
    if (Number(version?.["user_version"]) > SCHEMA_VERSION) {
      return yield* Effect.fail(berthError("SCHEMA_TOO_NEW", `${on.path} was written by a newer Berth`))
    }
    const [check] = yield* on.all("pragma integrity_check(1)")
    if (check?.["integrity_check"] !== "ok") {
      return yield* Effect.fail(berthError("STORE_CORRUPT", `${on.path}: ${String(check?.["integrity_check"])}`))
    }
    let count = 0
    let afterSeq = 0
    for (;;) {
      const rows = yield* on.all(`select ${ENTRY} from entries where seq > ? order by seq limit ?`, afterSeq, PAGE)
      if (rows.length === 0) return count
      const entries = yield* attempt(() => rows.map(entryOf))
      count += entries.length
      afterSeq = entries.at(-1)?.seq ?? afterSeq
    }
  })

const withConnection = <A>(
  path: string,
  use: (on: Connection) => Effect.Effect<A, BerthError>,
): Effect.Effect<A, BerthError> => Effect.acquireUseRelease(openConnection(path, "read"), use, (on) => on.close)

/** A blob that retention removes meanwhile belongs to a task that is at its end: its absence is no damage. */
const copyBlobs = (from: string, to: string): Effect.Effect<void, BerthError> =>
  io(to, async () => {
    for (const key of await keysBelow(join(from, BLOBS), null)) {
      const target = join(to, BLOBS, `${key}.blob`)
      await mkdir(dirname(target), { recursive: true, mode: 0o700 })
      await cp(join(from, BLOBS, `${key}.blob`), target).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error
      })
    }
  })

const copyFiles = (from: string, to: string): Effect.Effect<void, BerthError> =>
  io(to, async () => {
    const found = await readdir(from, { withFileTypes: true })
    const files = found.filter((entry) => entry.isFile() && !NOT_COPIED.test(entry.name))
    for (const { name } of files) await cp(join(from, name), join(to, name))
  })

const publish = (partial: string, target: string): Effect.Effect<void, BerthError> =>
  io(target, async () => {
    for (const name of await readdir(partial)) {
      if (name.endsWith("-wal") || name.endsWith("-shm")) await rm(join(partial, name))
    }
    for (const path of await filesBelow(partial)) await sync(path)
    await rename(partial, target)
    await sync(dirname(target))
  })

/** Every file and directory below, the deepest first. */
async function filesBelow(directory: string): Promise<readonly string[]> {
  const found = await readdir(directory, { withFileTypes: true })
  const nested = await Promise.all(
    found.filter((entry) => entry.isDirectory()).map((entry) => filesBelow(join(directory, entry.name))),
  )
  return [...nested.flat(), ...found.map((entry) => join(directory, entry.name)), directory]
}

const mustNotExist = (path: string): Effect.Effect<void, BerthError> =>
  existsSync(path)
    ? Effect.fail(
        berthError("WRONG_STATE", `${path} is there already`, { hint: "Name a directory that does not exist." }),
      )
    : Effect.void

const io = <A>(what: string, body: () => Promise<A>): Effect.Effect<A, BerthError> =>
  Effect.tryPromise({
    try: body,
    catch: (cause) => {
      if (cause instanceof BerthError) return cause
      const { code } = cause as NodeJS.ErrnoException
      return berthError(code === "ENOSPC" ? "STORAGE_FULL" : "STORE_UNAVAILABLE", `${what}: ${String(code)}`, { cause })
    },
  })
