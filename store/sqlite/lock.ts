/**
 * One process per data directory. The right is an exclusive transaction on a small database, which the kernel drops when
 * the process ends, however it ends; the file beside it only tells others who has it and where it listens.
 *
 *   D1. Of any number of processes that start at once exactly one gets the directory.
 *   D2. Nothing has to be cleaned up after a crash, and no stale file keeps anybody out.
 *   D3. Who is refused learns the pid and the URL of the one who has it.
 *   D4. Refused as another's is only what another has: a directory that cannot be made or written is said to be that.
 */
import { accessSync, constants, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import { type Connection, isBusy, openConnection } from "./connection.ts"
import { unusable } from "./unusable.ts"

/** What the lock file says of the process that has the directory. */
export interface LockInfo {
  readonly pid: number
  /** When that process was started, in clock ticks since boot: tells it from a later one with the same pid. */
  readonly processStart: string | null
  /** Where its gateway listens; null until it does, or if it has none. */
  readonly url: string | null
  readonly startedAtMs: number
}

export interface DataDirLock {
  /** Tells others where this process listens. */
  readonly announce: (url: string) => Effect.Effect<void, BerthError>
}

const INFO_FILE = "berth.lock"
const RIGHT_FILE = "berth.lock.db"

/**
 * Takes the directory, made if need be, until the scope closes. DATA_DIR_LOCKED while another process has it, CONFIG_INVALID
 * or STORAGE_FULL where it cannot be made or written.
 *
 * @param onTaken - called once the directory is this process's, before anything is written to it
 */
export const lockDataDir = (
  dataDir: string,
  nowMs: number,
  onTaken: () => void,
): Effect.Effect<DataDirLock, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* io(dataDir, () => {
      mkdirSync(dataDir, { recursive: true, mode: 0o700 })
      // Said by the system, which knows why; SQLite opens what it may not write for reading, and then keeps nobody out (D1).
      accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
    })
    yield* Effect.acquireRelease(takeRight(dataDir), (right) =>
      Effect.andThen(
        // One that stays misleads nobody (D2); the right must be given back all the same.
        Effect.ignore(io(dataDir, () => rmSync(join(dataDir, INFO_FILE), { force: true }))),
        right.close,
      ),
    )
    const write = (url: string | null) =>
      io(dataDir, () => {
        const info: LockInfo = { pid: process.pid, processStart: processStart(process.pid), url, startedAtMs: nowMs }
        const path = join(dataDir, INFO_FILE)
        writeFileSync(`${path}.new`, JSON.stringify(info), { mode: 0o600 })
        renameSync(`${path}.new`, path)
      })
    yield* Effect.sync(onTaken)
    yield* write(null)
    return { announce: write }
  })

/** Who has the directory; null when nobody does, whatever a crash may have left there. */
export function readLock(dataDir: string): LockInfo | null {
  const info = readInfo(dataDir)
  if (info === null || !isAlive(info.pid)) return null
  // A process of this pid that was started at another time is another one (D2).
  return info.processStart === processStart(info.pid) ? info : null
}

const takeRight = (dataDir: string): Effect.Effect<Connection, BerthError> =>
  Effect.gen(function* () {
    const right = yield* openConnection(join(dataDir, RIGHT_FILE), "write")
    const taken = Effect.gen(function* () {
      yield* io(dataDir, () => accessSync(right.path, constants.W_OK))
      yield* right.all("pragma busy_timeout = 0")
      yield* right.all("pragma journal_mode = memory")
      yield* right.all("pragma locking_mode = exclusive")
      yield* right.run("begin exclusive")
    })
    yield* Effect.onError(taken, () => right.close)
    return right
  }).pipe(Effect.mapError((error) => (isBusy(error) ? locked(dataDir) : unusable(dataDir, error))))

function locked(dataDir: string): BerthError {
  const info = readInfo(dataDir)
  const who = info === null ? "another process" : `process ${info.pid}`
  const where = info?.url ? ` and listens at ${info.url}` : ""
  return berthError("DATA_DIR_LOCKED", `${dataDir} is in use: ${who} has it${where}`)
}

function readInfo(dataDir: string): LockInfo | null {
  try {
    return JSON.parse(readFileSync(join(dataDir, INFO_FILE), "utf8")) as LockInfo
  } catch {
    return null
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** Field 22 of /proc/<pid>/stat (proc(5)); the name before it may hold spaces and brackets. Null where there is no /proc. */
function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null
  } catch {
    return null
  }
}

const io = <A>(dataDir: string, body: () => A): Effect.Effect<A, BerthError> =>
  Effect.try({ try: body, catch: (cause) => unusable(dataDir, cause) })
