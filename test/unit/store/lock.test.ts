/** Is a data directory that cannot be used said to be that, and to be another's only where another has it? */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { openNodeModel } from "../../../store/sqlite/nodeModel.ts"
import { lockDataDir } from "../../../store/sqlite/lock.ts"
import { unusable } from "../../../store/sqlite/unusable.ts"
import { temporaryDir } from "../../support/sqlite.ts"

const run = <A>(body: Effect.Effect<A, unknown, Scope.Scope>): Promise<A> => Effect.runPromise(Effect.scoped(body))
const refusal = (dataDir: string) => Effect.flip(Effect.scoped(lockDataDir(dataDir, 0, () => {})))

describe("a data directory that this process cannot have", () => {
  const obstacles: readonly (readonly [string, (dir: string) => string, string])[] = [
    [
      "below a file",
      (dir) => {
        writeFileSync(join(dir, "file"), "")
        return join(dir, "file", "data")
      },
      "ENOTDIR",
    ],
    [
      "a file in its place",
      (dir) => {
        writeFileSync(join(dir, "data"), "")
        return join(dir, "data")
      },
      "EEXIST",
    ],
    [
      "with a directory in place of its database",
      (dir) => {
        mkdirSync(join(dir, "berth.lock.db"))
        return dir
      },
      "SQLITE_CANTOPEN",
    ],
    [
      "with a directory in place of what tells who has it",
      (dir) => {
        mkdirSync(join(dir, "berth.lock"))
        return dir
      },
      "EISDIR",
    ],
  ]
  it.each(obstacles)("D4 %s is that, with what the system says, and what to do", (_, place, said) =>
    run(
      Effect.gen(function* () {
        const dataDir = place(yield* temporaryDir)
        const error = yield* refusal(dataDir)
        expect(error).toMatchObject({ code: "CONFIG_INVALID", retryable: false })
        expect(error.message).toContain(`cannot use the data directory ${dataDir}: `)
        expect(error.message).toContain(said)
        expect(error.advice).toContain("--data")
      }),
    ),
  )

  it("D4 one that another has is said to be another's", () =>
    run(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        yield* lockDataDir(dataDir, 0, () => {})
        const error = yield* refusal(dataDir)
        expect(error.code).toBe("DATA_DIR_LOCKED")
        expect(error.message).toContain(`process ${process.pid} has it`)
      }),
    ))

  it("D4 a full disk is a full disk", () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" })
    expect(unusable("/data", full)).toMatchObject({ code: "STORAGE_FULL", cause: full })
  })

  it("does a node's read model that cannot be made end the start, for no broker helps?", () =>
    run(
      Effect.gen(function* () {
        const path = join(yield* temporaryDir, "read.db")
        mkdirSync(path)
        const snapshot = () => Effect.succeed(null)
        const opened = openNodeModel({ path, log: "c1", unusedSinceMs: 0, snapshot, onAnew: () => {} })
        expect((yield* Effect.flip(opened)).code).toBe("CONFIG_INVALID")
      }),
    ))
})
