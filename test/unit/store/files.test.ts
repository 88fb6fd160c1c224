/** The files of a data directory: schema versions, backup and restore, and a disk that fails. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { outputSubject, stateSubject } from "../../../core/record.ts"
import { backup, restore } from "../../../store/sqlite/index.ts"
import { openConnection } from "../../../store/sqlite/connection.ts"
import { migrate, SCHEMA_VERSION } from "../../../store/sqlite/schema.ts"
import { startChild } from "../../support/child.ts"
import { codeOf } from "../../support/code.ts"
import { isolate } from "../../support/effect.ts"
import { FLIPPED, openStore, reopenable, tamper, temporaryDir } from "../../support/sqlite.ts"
import { printed, started, submitted } from "../../support/task.ts"

describe("schema", () => {
  it("every migration runs once, in order, each with its number", async () => {
    await isolate(
      Effect.gen(function* () {
        const on = yield* Effect.acquireRelease(
          openConnection(join(yield* temporaryDir, "x.db"), "write"),
          (c) => c.close,
        )
        const steps = [
          "create table one (a)",
          "insert into one values (1); create table two (b)",
          "insert into one values (2)",
        ]
        yield* migrate(on, steps.slice(0, 1))
        yield* migrate(on, steps)
        yield* migrate(on, steps)
        expect(yield* on.all("select a from one order by a")).toEqual([{ a: 1 }, { a: 2 }])
        expect(yield* on.all("pragma user_version")).toEqual([{ user_version: 3 }])
        expect(yield* codeOf(migrate(on, steps.slice(0, 2)))).toBe("SCHEMA_TOO_NEW")
      }),
    )
  })

  it("a migration that fails leaves the schema as it was", async () => {
    await isolate(
      Effect.gen(function* () {
        const on = yield* Effect.acquireRelease(
          openConnection(join(yield* temporaryDir, "x.db"), "write"),
          (c) => c.close,
        )
        const good = "create table one (a)"
        expect(yield* codeOf(migrate(on, [good, "create table two (b); insert into nowhere values (1)"]))).toBe(
          "INTERNAL",
        )
        expect(yield* on.all("pragma user_version")).toEqual([{ user_version: 1 }])
        expect(yield* on.all("select name from sqlite_master where name = 'two'")).toEqual([])
        yield* migrate(on, [good, "create table two (b)"])
      }),
    )
  })

  it("data of a newer Berth is refused and left alone", async () => {
    await isolate(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const open = yield* reopenable(dataDir)
        yield* (yield* open).log.append("t.a.s", 0, submitted({ id: "a" }))
        const path = join(dataDir, "berth.db")
        yield* tamper(path, `pragma user_version = ${SCHEMA_VERSION + 1}`)
        expect(yield* codeOf(open)).toBe("SCHEMA_TOO_NEW")
        yield* tamper(path, `pragma user_version = ${SCHEMA_VERSION}`)
        expect(yield* (yield* open).log.head).toBe(1)
      }),
    )
  })

  it("the store's identity is made once and kept", async () => {
    await isolate(
      Effect.gen(function* () {
        const open = yield* reopenable(yield* temporaryDir)
        const { clusterId } = (yield* open).dataDir
        expect(clusterId).toMatch(/^[A-Za-z0-9_-]{10,64}$/)
        expect((yield* open).dataDir.clusterId).toBe(clusterId)
      }),
    )
  })
})

describe("backup and restore", () => {
  it("U1 a backup that was made while others write is a whole store of one moment", async () => {
    await isolate(
      Effect.gen(function* () {
        const dir = yield* temporaryDir
        const store = yield* openStore(join(dir, "data"))
        const life = (id: string) =>
          Effect.gen(function* () {
            const first = submitted({ id })
            yield* store.blobs.put(`${id}/0/program`, new TextEncoder().encode(id))
            const seq = yield* store.log.append(stateSubject(id), 0, first)
            yield* store.log.append(stateSubject(id), seq, started(first.state))
            yield* store.log.appendOutput(id, printed(id))
          })
        for (let i = 0; i < 20; i++) yield* life(`before${i}`)
        writeFileSync(join(dir, "data", "some.key"), "key", { mode: 0o600 })
        let isDone = false
        const writing = yield* Effect.forkChild(
          Effect.gen(function* () {
            for (let i = 0; !isDone; i++) yield* life(`during${i}`)
          }),
        )
        const summary = yield* backup(join(dir, "data"), join(dir, "copy"))
        isDone = true
        yield* Fiber.join(writing)
        expect(summary.entries).toBeGreaterThanOrEqual(60)
        expect(existsSync(join(dir, "copy.partial"))).toBe(false)

        expect(yield* restore(join(dir, "copy"), join(dir, "restored"))).toEqual(summary)
        expect(readFileSync(join(dir, "restored", "some.key"), "utf8")).toBe("key")
        expect(statSync(join(dir, "restored", "some.key")).mode & 0o777).toBe(0o600)
        expect(readdirSync(join(dir, "restored")).sort()).toEqual(["berth.db", "blobs", "some.key"])
        const restored = yield* openStore(join(dir, "restored"))
        expect(restored.dataDir.clusterId).toBe(store.dataDir.clusterId)
        const { rows } = yield* restored.readModel.list({ owner: null, cursor: null, rowsMax: 500 })
        expect(rows.length).toBeGreaterThanOrEqual(20)
        for (const { state, seq } of rows) {
          expect((yield* restored.log.last(state.id))?.seq).toBe(seq)
          expect(yield* restored.blobs.get(`${state.id}/0/program`)).toEqual(new TextEncoder().encode(state.id))
        }
        expect(yield* restored.log.after(outputSubject("before0"), 0)).not.toBeNull()
      }),
    )
  })

  it("U2 U3 neither writes over what is there, and a failed backup leaves nothing under the name", async () => {
    await isolate(
      Effect.gen(function* () {
        const dir = yield* temporaryDir
        yield* Effect.scoped(
          Effect.flatMap(openStore(join(dir, "data")), ({ log }) => log.append("t.a.s", 0, submitted({ id: "a" }))),
        )
        mkdirSync(join(dir, "taken"))
        expect(yield* codeOf(backup(join(dir, "data"), join(dir, "taken")))).toBe("WRONG_STATE")
        expect(readdirSync(join(dir, "taken"))).toEqual([])
        yield* backup(join(dir, "data"), join(dir, "copy"))
        expect(yield* codeOf(restore(join(dir, "copy"), join(dir, "data")))).toBe("WRONG_STATE")
        expect(yield* codeOf(backup(join(dir, "nothing"), join(dir, "x")))).toBe("NOT_FOUND")
        expect(yield* codeOf(restore(join(dir, "nothing"), join(dir, "x")))).toBe("NOT_FOUND")
        yield* tamper(join(dir, "data", "berth.db"), `update entries set body = ${FLIPPED}`)
        expect(yield* codeOf(backup(join(dir, "data"), join(dir, "bad")))).toBe("STORE_CORRUPT")
        expect(existsSync(join(dir, "bad"))).toBe(false)
      }),
    )
  })

  it("U3 a backup in which a record or a blob is damaged is not taken back", async () => {
    await isolate(
      Effect.gen(function* () {
        const dir = yield* temporaryDir
        const copy = join(dir, "copy")
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { log, blobs } = yield* openStore(join(dir, "data"))
            yield* log.append("t.a.s", 0, submitted({ id: "a" }))
            yield* blobs.put("a/1/x", new Uint8Array(100))
            yield* backup(join(dir, "data"), copy)
          }),
        )
        const blob = join(copy, "blobs/a/1/x.blob")
        const whole = readFileSync(blob)
        writeFileSync(blob, whole.subarray(0, 60))
        expect(yield* codeOf(restore(copy, join(dir, "one")))).toBe("STORE_CORRUPT")
        writeFileSync(blob, whole)
        yield* tamper(join(copy, "berth.db"), `update entries set body = ${FLIPPED}`)
        expect(yield* codeOf(restore(copy, join(dir, "one")))).toBe("STORE_CORRUPT")
        expect(existsSync(join(dir, "one"))).toBe(false)
      }),
    )
  })
})

const compiler = ["gcc", "cc"].find((name) => {
  try {
    execFileSync(name, ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})

/** Every fsync fails while a file is there. */
const FAILING_SYNC = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int fails(void) { const char *p = getenv("FAIL_SYNC_WHILE"); return p && access(p, F_OK) == 0; }
int fsync(int fd) { if (fails()) { errno = EIO; return -1; } return ((int (*)(int)) dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { if (fails()) { errno = EIO; return -1; } return ((int (*)(int)) dlsym(RTLD_NEXT, "fdatasync"))(fd); }
`

describe("a disk that fails to sync", { timeout: 180_000 }, () => {
  it("W1 W3 nothing is acknowledged while it fails; then the store goes on by itself", async (context) => {
    if (compiler === undefined || process.platform !== "linux") return context.skip("needs Linux and a C compiler")
    await isolate(
      Effect.gen(function* () {
        const dir = yield* temporaryDir
        const failing = join(dir, "failing")
        writeFileSync(join(dir, "sync.c"), FAILING_SYNC)
        execFileSync(compiler ?? "", ["-shared", "-fPIC", "-o", join(dir, "sync.so"), join(dir, "sync.c"), "-ldl"])
        const script = fileURLToPath(new URL("../../support/retrier.ts", import.meta.url))
        const child = startChild(script, [join(dir, "data")], {
          LD_PRELOAD: join(dir, "sync.so"),
          FAIL_SYNC_WHILE: failing,
        })
        yield* Effect.promise(() => child.untilLines(20))
        writeFileSync(failing, "")
        yield* Effect.promise(() => child.until((line) => line.startsWith("refused")))
        const refusedAt = child.lines.findIndex((line) => line.startsWith("refused"))
        yield* Effect.promise(() => child.untilLines(refusedAt + 20))
        const during = child.lines.slice(refusedAt)
        rmSync(failing)
        yield* Effect.promise(() => child.until((line) => line === "recovered"))
        const recoveredAt = child.lines.indexOf("recovered")
        yield* Effect.promise(() => child.untilLines(recoveredAt + 20))
        yield* Effect.promise(child.kill)
        expect(during.every((line) => line.startsWith("refused STORE_UNAVAILABLE"))).toBe(true)
        expect(child.lines.filter((line) => line.startsWith("lost"))).toEqual([])
        const { log } = yield* openStore(join(dir, "data"))
        for (const line of child.lines) {
          const [word, id, seq] = line.split(" ")
          if (word === "acknowledged") expect((yield* log.after(stateSubject(id ?? ""), 0))?.seq).toBe(Number(seq))
        }
      }),
    )
  })
})
