/** The embedded store against kill -9 and against itself: nothing acknowledged is lost, and one process has the directory. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../../core/errors.ts"
import { outputSubject, stateSubject } from "../../../core/record.ts"
import { readLock } from "../../../store/sqlite/index.ts"
import { startChild } from "../../support/child.ts"
import { codeOf } from "../../support/code.ts"
import { isolate } from "../../support/effect.ts"
import { openStore, temporaryDir } from "../../support/sqlite.ts"

const APPENDER = fileURLToPath(new URL("../../support/appender.ts", import.meta.url))

describe("kill -9", { timeout: 180_000 }, () => {
  it("EL1 every append that was acknowledged before kill -9 is there after it, and the row says the same", async () => {
    await isolate(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const acknowledged = new Map<number, string>()
        for (let round = 0; round < 3; round++) {
          const child = startChild(APPENDER, [dataDir, "16", String(round)])
          yield* Effect.promise(() => child.untilLines(400 + round * 333))
          yield* Effect.promise(child.kill)
          expect(child.lines[0]).toBe("ready")
          for (const line of child.lines.slice(1)) {
            const [seq, id, what] = line.split(" ")
            if (what !== undefined) acknowledged.set(Number(seq), `${id} ${what}`)
          }
        }
        expect(acknowledged.size).toBeGreaterThan(1_000)
        yield* Effect.scoped(compare(dataDir, acknowledged))
      }),
    )
  })
})

const compare = (dataDir: string, acknowledged: ReadonlyMap<number, string>) =>
  Effect.gen(function* () {
    const { log, readModel } = yield* openStore(dataDir)
    const ids = new Set([...acknowledged.values()].map((what) => what.split(" ")[0] as string))
    const found = new Map<number, string>()
    for (const id of ids) {
      for (const { seq, record, subject } of yield* log.readTask(id, 0, 200)) {
        found.set(seq, `${id} ${record.kind === "task" ? record.state.status : "output"}`)
        expect(subject).toBe(record.kind === "task" ? stateSubject(id) : outputSubject(id))
      }
      const last = yield* log.last(id)
      const row = yield* readModel.get(id)
      expect(row?.seq).toBe(last?.seq)
      expect(row?.state).toEqual(last?.record.kind === "task" ? last.record.state : null)
    }
    for (const [seq, what] of acknowledged) expect(found.get(seq)).toBe(what)
  })

describe("one process per data directory", { timeout: 180_000 }, () => {
  const refused = (dataDir: string) => Effect.flip(Effect.scoped(openStore(dataDir)))

  it("D3 a second server is refused and learns pid and URL of the first", async () => {
    await isolate(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const child = startChild(APPENDER, [dataDir, "1"])
        yield* Effect.promise(() => child.untilLines(2))
        const error: BerthError = yield* refused(dataDir)
        expect(error.code).toBe("DATA_DIR_LOCKED")
        expect(error.message).toContain(String(child.process.pid))
        expect(readLock(dataDir)?.pid).toBe(child.process.pid)
        yield* Effect.promise(child.kill)
        expect(readLock(dataDir)).toBeNull()
        yield* Effect.scoped(openStore(dataDir))
      }),
    )
  })

  it("D3 within one process too, and the URL is told once it is known", async () => {
    await isolate(
      Effect.gen(function* () {
        const dir = yield* temporaryDir
        const first = yield* openStore(dir)
        yield* first.dataDir.announce("ws://127.0.0.1:4100")
        expect((yield* refused(dir)).message).toContain("ws://127.0.0.1:4100")
        expect(readLock(dir)).toMatchObject({ pid: process.pid, url: "ws://127.0.0.1:4100" })
        // The refused one must not have loosened the first one's hold.
        expect((yield* refused(dir)).code).toBe("DATA_DIR_LOCKED")
        expect(readLock(dir)?.pid).toBe(process.pid)
      }),
    )
  })

  it("D2 what a crash left behind keeps nobody out, whoever has that pid now", async () => {
    await isolate(
      Effect.gen(function* () {
        const dataDir = join(yield* temporaryDir, "data")
        mkdirSync(dataDir)
        const stale = { pid: process.pid, processStart: "1", url: "ws://127.0.0.1:1", startedAtMs: 1 }
        writeFileSync(join(dataDir, "berth.lock"), JSON.stringify(stale))
        expect(readLock(dataDir)).toBeNull()
        writeFileSync(join(dataDir, "berth.lock"), "{ cut off")
        expect(readLock(dataDir)).toBeNull()
        yield* openStore(dataDir)
        expect(JSON.parse(readFileSync(join(dataDir, "berth.lock"), "utf8"))).toMatchObject({
          pid: process.pid,
          url: null,
        })
      }),
    )
  })

  it("D1 of three that start at once one gets it, and after kill -9 the next one does", async () => {
    await isolate(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const children = Array.from({ length: 3 }, (_, i) => startChild(APPENDER, [dataDir, "1", String(i)]))
        yield* Effect.promise(() => Promise.all(children.map((child) => child.untilLines(1))))
        const first = children.map((child) => child.lines[0] ?? "")
        expect(first.filter((line) => line === "ready")).toHaveLength(1)
        expect(first.filter((line) => line.startsWith("failed DATA_DIR_LOCKED"))).toHaveLength(2)
        yield* Effect.promise(() => Promise.all(children.map((child) => child.kill())))
        expect(yield* codeOf(Effect.scoped(openStore(dataDir)))).toBe("none")
        expect(readLock(dataDir)).toBeNull()
      }),
    )
  })
})
