/**
 * The embedded store: one data directory, one process.
 *
 *   berth.db          log and read model, changed in one transaction; secrets, sealed
 *   secrets.key       what they are sealed with, unless the operator brings the keys
 *   blobs/            large values
 *   berth.lock        who has the directory, and where it listens
 *   berth.reserve     room for getting out of a full disk
 */
import { join } from "node:path"
import { Context, Effect, Layer, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { Clock } from "../../core/ports/clock.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Failpoints } from "../../core/ports/failpoints.ts"
import { Random } from "../../core/ports/random.ts"
import { ReadModel } from "../../core/ports/readModel.ts"
import { Secrets } from "../../core/ports/secrets.ts"
import { rebuildReadModel } from "./apply.ts"
import { makeFileBlobs } from "./blobs.ts"
import { type Connection, openConnection } from "./connection.ts"
import { clearDamage, isDamaged } from "./damage.ts"
import { hasDamagedOpenTask, Known, openLog, readHead } from "./known.ts"
import { type DataDirLock, lockDataDir } from "./lock.ts"
import { makeLog } from "./log.ts"
import { besideLog } from "./readModel.ts"
import { makeRoomToStart, Reserve } from "./reserve.ts"
import { DATABASE_FILE, getMeta, migrate, MODEL_VERSION, setMeta } from "./schema.ts"
import { openSecrets, type SqliteSecretsOptions } from "./secrets.ts"
import { makeWriter } from "./writer.ts"

export { backup, restore } from "./backup.ts"
export { lockDataDir, readLock } from "./lock.ts"
export { openNodeModel } from "./nodeModel.ts"
export { snapshotsOf } from "./snapshot.ts"
export { rotateKey } from "./rotate.ts"

export interface SqliteStoreOptions {
  /** Made if it is not there, for its owner only. */
  readonly dataDir: string
  /** The largest single blob. Default 64 MiB. */
  readonly blobBytesMax?: number
}

/** The data directory that this process has: its identity, and the lock that others read. */
export class DataDir extends Context.Service<
  DataDir,
  {
    readonly path: string
    /** Made with the store and kept with it: containers carry it, and a node of another cluster never touches them. */
    readonly clusterId: string
    /** Tells commands in the same directory where this process listens. */
    readonly announce: DataDirLock["announce"]
  }
>()("store/sqlite/DataDir") {}

/**
 * Log, read model and blobs of one data directory. Fails with DATA_DIR_LOCKED while another process has it, with
 * SCHEMA_TOO_NEW when a later Berth wrote it, and with STORE_CORRUPT when it is damaged beyond folding anew.
 */
export const sqliteStore = (
  options: SqliteStoreOptions,
): Layer.Layer<EventLog | ReadModel | Blobs | DataDir, BerthError, Clock | Random | Failpoints> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { dataDir } = options
      const clock = yield* Clock
      const random = yield* Random
      const failpoints = yield* Failpoints
      const reservePath = join(dataDir, "berth.reserve")
      const lock = yield* lockDataDir(dataDir, clock.nowMs(), () => makeRoomToStart(reservePath))
      const path = join(dataDir, DATABASE_FILE)
      const { known, reader } = yield* openStore(path, new Reserve(reservePath))
      const clusterId = yield* identity(known.connection, random.id)
      const writer = yield* makeWriter(known, failpoints)
      const log = makeLog(known, writer, reader)
      const blobs = makeFileBlobs(join(dataDir, "blobs"), options.blobBytesMax ?? LIMITS.artifactsBytesMax)
      return Context.make(EventLog, log).pipe(
        Context.add(
          ReadModel,
          besideLog(
            reader,
            path,
            Effect.sync(() => known.tail.head),
          ),
        ),
        Context.add(Blobs, blobs),
        Context.add(DataDir, { path: dataDir, clusterId, announce: lock.announce }),
      )
    }),
  )

/** The secrets of the data directory that this process has; see openSecrets. */
export const sqliteSecrets = (options: SqliteSecretsOptions): Layer.Layer<Secrets, BerthError, DataDir> =>
  Layer.effect(
    Secrets,
    Effect.gen(function* () {
      const { path } = yield* DataDir
      return (yield* openSecrets(path, options)).secrets
    }),
  )

const openStore = (
  path: string,
  reserve: Reserve,
): Effect.Effect<{ readonly known: Known; readonly reader: Connection }, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const connection = yield* openLog(path)
    const prepared = Effect.gen(function* () {
      yield* migrate(connection)
      // First, so that of a log that a later Berth wrote nothing is touched: the last record of `control` is of its level.
      const { head, control } = yield* readHead(connection)
      const isOther = (yield* getMeta(connection, "model")) !== MODEL_VERSION
      if (isDamaged(path) || isOther || (yield* hasDamagedOpenTask(connection))) {
        yield* rebuildReadModel(connection)
        clearDamage(path)
      }
      return new Known(connection, reserve, head, control)
    })
    const known = yield* Effect.onError(prepared, () => connection.close)
    yield* Effect.addFinalizer(() => known.close)
    const reader = yield* Effect.acquireRelease(openConnection(path, "read"), (opened) => opened.close)
    return { known, reader }
  })

const identity = (on: Connection, newId: () => string): Effect.Effect<string, BerthError> =>
  Effect.gen(function* () {
    const known = yield* getMeta(on, "clusterId")
    if (known !== null) return known
    const made = newId()
    yield* setMeta(on, "clusterId", made)
    return made
  })
