/** A data directory in the hands of a test: opened, closed and opened again, damaged, and, on a small file system, filled. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { Clock } from "../../core/ports/clock.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Failpoints } from "../../core/ports/failpoints.ts"
import { Random } from "../../core/ports/random.ts"
import { ReadModel } from "../../core/ports/readModel.ts"
import { openConnection } from "../../store/sqlite/connection.ts"
import { DataDir, sqliteStore } from "../../store/sqlite/index.ts"
import { liveClock, noFailpoints, seededRandom } from "./clock.ts"

export interface OpenStore {
  readonly log: EventLog["Service"]
  readonly readModel: ReadModel["Service"]
  readonly blobs: Blobs["Service"]
  readonly dataDir: DataDir["Service"]
}

/** Clock, Random and Failpoints for stores that a test opens. */
export const system = (failpoints: Failpoints["Service"] = noFailpoints) =>
  Layer.mergeAll(
    Layer.succeed(Clock, liveClock),
    Layer.succeed(Random, seededRandom(1)),
    Layer.succeed(Failpoints, failpoints),
  )

/** A directory that goes away with the scope. */
export const temporaryDir: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "berth-store-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true })),
)

/** The store in `dataDir` until the scope closes. */
export const openStore = (
  dataDir: string,
  failpoints?: Failpoints["Service"],
): Effect.Effect<OpenStore, BerthError, Scope.Scope> =>
  Effect.map(Layer.build(Layer.provide(sqliteStore({ dataDir }), system(failpoints))), (context) => ({
    log: Context.get(context, EventLog),
    readModel: Context.get(context, ReadModel),
    blobs: Context.get(context, Blobs),
    dataDir: Context.get(context, DataDir),
  }))

/** A store that can be closed and opened again: each `open` ends the one before. */
export const reopenable = (
  dataDir: string,
): Effect.Effect<Effect.Effect<OpenStore & { readonly close: Effect.Effect<void> }, BerthError>, never, Scope.Scope> =>
  Effect.gen(function* () {
    let current: Scope.Closeable | null = null
    const close = Effect.suspend(() => (current === null ? Effect.void : Scope.close(current, Exit.void)))
    yield* Effect.addFinalizer(() => close)
    return Effect.gen(function* () {
      yield* close
      current = yield* Scope.make()
      return { ...(yield* Scope.provide(openStore(dataDir), current)), close }
    })
  })

/** Changes the database at `path` behind the store's back. */
export const tamper = (
  path: string,
  sql: string,
  ...values: readonly (string | number)[]
): Effect.Effect<void, BerthError> =>
  Effect.acquireUseRelease(
    openConnection(path, "write"),
    (on) => on.run(sql, ...values),
    (on) => on.close,
  )

/** Flips the last byte of a stored body. */
export const FLIPPED = "cast(substr(body, 1, length(body) - 1) || iif(substr(body, -1) = x'7d', x'7c', x'7d') as blob)"

/** Why no small file system can be had here; null: it can. */
export const noMount = process.getuid?.() === 0 ? canMount() : "mounting a small file system needs root"

/** A file system of `megabytes`, gone with the scope. */
export const smallDisk = (megabytes: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = mkdtempSync(join(tmpdir(), "berth-small-"))
      execFileSync("/bin/mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path])
      return path
    }),
    (path) =>
      Effect.sync(() => {
        execFileSync("/bin/umount", ["-l", path])
        rmSync(path, { recursive: true, force: true })
      }),
  )

/** Takes all room that is left. */
export const fillDisk = (path: string): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const [count, bytes] of [1024 * 1024, 4096].entries()) {
      for (let i = 0; ; i++) {
        try {
          writeFileSync(join(path, `ballast-${count}-${i}`), Buffer.alloc(bytes, 1))
        } catch {
          rmSync(join(path, `ballast-${count}-${i}`), { force: true })
          break
        }
      }
    }
  })

export const freeDisk = (path: string): Effect.Effect<void> =>
  Effect.sync(() => execFileSync("find", [path, "-maxdepth", "1", "-name", "ballast-*", "-delete"])).pipe(Effect.asVoid)

function canMount(): string | null {
  try {
    const path = mkdtempSync(join(tmpdir(), "berth-small-"))
    execFileSync("/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path], { stdio: "ignore" })
    execFileSync("/bin/umount", [path], { stdio: "ignore" })
    rmSync(path, { recursive: true, force: true })
    return null
  } catch {
    return "this machine does not let its root mount a small file system"
  }
}
