/** The group commit of the embedded store: what goes together, and what happens when it fails. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { stateSubject } from "../../../core/record.ts"
import { armedFailpoints } from "../../support/clock.ts"
import { codeOf } from "../../support/code.ts"
import { isolate } from "../../support/effect.ts"
import { FLIPPED, openStore, reopenable, tamper, temporaryDir } from "../../support/sqlite.ts"
import { ended, printed, started, submitted } from "../../support/task.ts"
import { takeFeed } from "../../support/feed.ts"

const ids = (count: number, prefix = "t"): readonly string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

describe("group commit", () => {
  it("what one turn offers, and what comes while a commit is under way, takes one commit each", async () => {
    await isolate(
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        let passes = 0
        const failpoints = armedFailpoints({
          "store.beforeCommit": Effect.suspend(() => (passes++ === 0 ? Deferred.await(gate) : Effect.void)),
        })
        const { log } = yield* openStore(yield* temporaryDir, failpoints)
        const append = (id: string) => log.append(stateSubject(id), 0, submitted({ id }))
        const first = yield* Effect.forkChild(Effect.all(ids(100).map(append), { concurrency: "unbounded" }))
        while (passes === 0) yield* Effect.sleep(1)
        const second = yield* Effect.forkChild(Effect.all(ids(50, "u").map(append), { concurrency: "unbounded" }))
        yield* Effect.sleep(1)
        yield* Deferred.succeed(gate, undefined)
        for (const fiber of [first, second]) yield* Fiber.join(fiber)
        expect(failpoints.hits.filter((hit) => hit === "store.beforeCommit")).toHaveLength(2)
        expect(failpoints.hits.filter((hit) => hit === "store.afterCommit")).toHaveLength(2)
        expect(yield* log.head).toBe(150)
      }),
    )
  })

  it("P1 a refused append does not take the others of its commit with it", async () => {
    await isolate(
      Effect.gen(function* () {
        const { log, readModel } = yield* openStore(yield* temporaryDir)
        const work = ids(20).flatMap((id) => [
          log.append(stateSubject(id), 0, submitted({ id })),
          log.append(stateSubject(id), 0, submitted({ id, owner: "late" })),
          log.append(stateSubject(id), 999, submitted({ id, owner: "wrong" })),
        ])
        const exits = yield* Effect.all(work.map(Effect.exit), { concurrency: "unbounded" })
        expect(exits.map(Exit.isSuccess)).toEqual(ids(20).flatMap(() => [true, false, false]))
        expect((yield* readModel.list({ owner: "ann", cursor: null, rowsMax: 500 })).rows).toHaveLength(20)
        expect(yield* log.head).toBe(20)
      }),
    )
  })

  it("several appends to one task in one commit end in one row, the last", async () => {
    await isolate(
      Effect.gen(function* () {
        const { log, readModel } = yield* openStore(yield* temporaryDir)
        const first = submitted({ id: "a", spec: { labels: { x: "1" } } })
        const second = started(first.state)
        const third = ended(second.state)
        const seqs = yield* Effect.all(
          [
            log.append("t.a.s", 0, first),
            log.append("t.a.s", 1, second),
            log.append("t.a.s", 2, third),
            log.appendOutput("a", printed("x")),
          ],
          { concurrency: "unbounded" },
        )
        expect(seqs).toEqual([1, 2, 3, 4])
        expect((yield* readModel.get("a"))?.state).toEqual(third.state)
        expect(
          (yield* readModel.list({ owner: null, cursor: null, rowsMax: 5, labels: { x: "1" } })).rows,
        ).toHaveLength(1)
      }),
    )
  })

  it("W1 W2 a commit that fails before it was written fails all its appends, leaves nothing, and the next goes through", async () => {
    await isolate(
      Effect.gen(function* () {
        let broken = true
        const failpoints = armedFailpoints({
          "store.beforeCommit": Effect.suspend(() => (broken ? Effect.die(new Error("injected")) : Effect.void)),
        })
        const { log, readModel } = yield* openStore(yield* temporaryDir, failpoints)
        const work = ids(10).map((id) => codeOf(log.append(stateSubject(id), 0, submitted({ id }))))
        expect(new Set(yield* Effect.all(work, { concurrency: "unbounded" }))).toEqual(new Set(["INTERNAL"]))
        broken = false
        expect(yield* log.last("t0")).toBeNull()
        expect(yield* readModel.get("t0")).toBeNull()
        expect(yield* log.append(stateSubject("t0"), 0, submitted({ id: "t0" }))).toBe(1)
      }),
    )
  })

  it("EL4 what is on the disk but not yet absorbed is shown by no read: `last` would not know it", async () => {
    await isolate(
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const failpoints = armedFailpoints({ "store.afterCommit": Deferred.await(gate) })
        const { log } = yield* openStore(yield* temporaryDir, failpoints)
        const writing = yield* Effect.forkChild(log.append("t.a.s", 0, submitted({ id: "a" })))
        while (!failpoints.hits.includes("store.afterCommit")) yield* Effect.sleep(1)
        expect(yield* log.readTask("a", 0, 10)).toEqual([])
        const fed = yield* Effect.forkChild(takeFeed(log, 0, 1))
        yield* Effect.sleep(1)
        expect(fed.pollUnsafe()).toBeUndefined()
        yield* Deferred.succeed(gate, undefined)
        expect(yield* Fiber.join(writing)).toBe(1)
        expect(yield* log.readTask("a", 0, 10)).toHaveLength(1)
        expect(yield* Fiber.join(fed)).toHaveLength(1)
      }),
    )
  })

  it("W3 a commit whose outcome is unknown is looked up on the disk before the next one", async () => {
    await isolate(
      Effect.gen(function* () {
        let broken = true
        const failpoints = armedFailpoints({
          "store.afterCommit": Effect.suspend(() => (broken ? Effect.die(new Error("injected")) : Effect.void)),
        })
        const { log, readModel } = yield* openStore(yield* temporaryDir, failpoints)
        const first = submitted({ id: "a" })
        expect(yield* codeOf(log.append("t.a.s", 0, first))).toBe("INTERNAL")
        broken = false
        // It was written, though nobody was told so: the version is taken, and the record says whose it is.
        expect(yield* codeOf(log.append("t.a.s", 0, submitted({ id: "a", owner: "late" })))).toBe("VERSION_CONFLICT")
        expect((yield* log.after("t.a.s", 0))?.record).toEqual(first)
        expect((yield* readModel.get("a"))?.state).toEqual(first.state)
        const second = yield* log.append("t.a.s", 1, started(first.state))
        expect(second).toBe(2)
        expect((yield* takeFeed(log, 0, 2)).map((entry) => entry.seq)).toEqual([1, 2])
      }),
    )
  })

  it("more than may wait is refused, and what waits is written", async () => {
    await isolate(
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const failpoints = armedFailpoints({ "store.beforeCommit": Deferred.await(gate) })
        const { log } = yield* openStore(yield* temporaryDir, failpoints)
        const large = printed("x".repeat(255 * 1024))
        const append = () => codeOf(log.appendOutput("a", large))
        const first = yield* Effect.forkChild(append())
        while (failpoints.hits.length === 0) yield* Effect.sleep(1)
        // 64 MiB of these may wait.
        const rest = yield* Effect.forkChild(
          Effect.all(Array.from({ length: 300 }, append), { concurrency: "unbounded" }),
        )
        yield* Effect.sleep(1)
        yield* Deferred.succeed(gate, undefined)
        const codes = [yield* Fiber.join(first), ...(yield* Fiber.join(rest))]
        expect(codes.filter((code) => code === "none")).toHaveLength(258)
        expect(codes.filter((code) => code === "OVERLOADED")).toHaveLength(43)
        expect(yield* log.readTask("a", 0, 1_000)).toHaveLength(258)
      }),
    )
  })

  it("what was offered before the store closed is written, and later appends are refused", async () => {
    await isolate(
      Effect.gen(function* () {
        const open = yield* reopenable(yield* temporaryDir)
        const { log } = yield* open
        const offered = yield* Effect.forkChild(
          Effect.all(
            ids(30).map((id) => log.append(stateSubject(id), 0, submitted({ id }))),
            { concurrency: "unbounded" },
          ),
          { startImmediately: true },
        )
        yield* Effect.yieldNow
        const again = yield* open
        yield* Fiber.join(offered)
        expect(yield* again.log.head).toBe(30)
        expect(yield* codeOf(log.append("t.x.s", 0, submitted({ id: "x" })))).toBe("STORE_UNAVAILABLE")
        expect(yield* codeOf(takeFeed(log, 30, 1))).toBe("STORE_UNAVAILABLE")
      }),
    )
  })
})

describe("damage", () => {
  it("EL10 a record that was moved to another place is found", async () => {
    await isolate(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const { log } = yield* openStore(dataDir)
        yield* log.appendOutput("a", printed("x"))
        yield* tamper(join(dataDir, "berth.db"), "update entries set subject = 't.b.o'")
        expect(yield* codeOf(log.readTask("b", 0, 10))).toBe("STORE_CORRUPT")
      }),
    )
  })

  it("RM7 a changed column is found as well as a changed body, and the model is folded anew at the next start", async () => {
    await isolate(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const path = join(dataDir, "berth.db")
        const open = yield* reopenable(dataDir)
        const change = (sql: string) =>
          Effect.gen(function* () {
            const { log, readModel } = yield* open
            if ((yield* log.head) === 0) yield* log.append("t.a.s", 0, submitted({ id: "a" }))
            const row = yield* readModel.get("a")
            yield* tamper(path, sql)
            expect(yield* codeOf(readModel.get("a"))).toBe("STORE_CORRUPT")
            expect(yield* (yield* open).readModel.get("a")).toEqual(row)
          })
        for (const column of [
          "status = 2",
          "owner = 'eve'",
          "lane = 0",
          "submitted_at = 1",
          "due_at = 5",
          "slot = 1",
          "dead = 1",
        ]) {
          yield* change(`update tasks set ${column}`)
        }
        yield* change(`update tasks set body = ${FLIPPED}`)
      }),
    )
  })

  it("a new fold leaves out the task whose last record is damaged, and no other; the log says STORE_CORRUPT of it", async () => {
    await isolate(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const path = join(dataDir, "berth.db")
        const open = yield* reopenable(dataDir)
        const { log } = yield* open
        const newer = new Map<string, number>()
        for (const id of ["last", "older", "whole"]) {
          const first = submitted({ id })
          const seq = yield* log.append(`t.${id}.s`, 0, first)
          newer.set(id, yield* log.append(`t.${id}.s`, seq, started(first.state)))
          if (id === "older") yield* tamper(path, `update entries set body = ${FLIPPED} where seq = ?`, seq)
        }
        yield* tamper(path, `update entries set body = ${FLIPPED} where seq = ?`, newer.get("last") ?? 0)
        writeFileSync(`${path}.rebuild`, "")
        const again = yield* open
        expect((yield* again.readModel.scan("running", "", 10)).map(({ state }) => state.id)).toEqual([
          "older",
          "whole",
        ])
        expect(yield* again.readModel.get("last")).toBeNull()
        expect(yield* codeOf(again.log.last("last"))).toBe("STORE_CORRUPT")
        expect(yield* again.log.head).toBe(newer.get("whole"))
      }),
    )
  })

  it.each([
    ["its row", `update tasks set body = ${FLIPPED} where id = 'a'`, "row"],
    ["its last record", `update entries set body = ${FLIPPED} where subject = 't.a.s'`, "no row"],
  ])("of a task that waits is found before anybody acts on it: %s", async (_name, sql, then) => {
    await isolate(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const open = yield* reopenable(dataDir)
        const { log, readModel } = yield* open
        for (const id of ["a", "b"]) yield* log.append(`t.${id}.s`, 0, submitted({ id }))
        const row = yield* readModel.get("a")
        yield* tamper(join(dataDir, "berth.db"), sql)
        const again = yield* open
        expect(yield* again.readModel.get("a")).toEqual(then === "row" ? row : null)
        expect((yield* again.readModel.get("b"))?.state.id).toBe("b")
      }),
    )
  })

  it("RM7 the row of a task at rest is taken from its last record, so that no list fails for it", async () => {
    await isolate(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const { log, readModel } = yield* openStore(dataDir)
        for (const id of ["a", "b"]) {
          const first = submitted({ id })
          const second = started(first.state)
          let seq = 0
          for (const record of [first, second, ended(second.state)]) seq = yield* log.append(`t.${id}.s`, seq, record)
        }
        const query = { owner: null, cursor: null, rowsMax: 10 }
        const before = yield* readModel.list(query)
        yield* tamper(join(dataDir, "berth.db"), `update tasks set body = ${FLIPPED} where id = 'a'`)
        expect(yield* readModel.list(query)).toEqual(before)
        expect(before.rows).toHaveLength(2)
      }),
    )
  })
})
