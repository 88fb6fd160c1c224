/** A full disk: the way out is to remove tasks, and that has to be written too. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { stateSubject } from "../../../core/record.ts"
import { codeOf } from "../../support/code.ts"
import { isolate } from "../../support/effect.ts"
import { fillDisk, freeDisk, noMount, openStore, reopenable, smallDisk } from "../../support/sqlite.ts"
import { printed, started, submitted, tombstoneOf } from "../../support/task.ts"

describe("a full disk", () => {
  it("EL12 a server starts on it, and what was acknowledged before is there", async (context) => {
    if (noMount !== null) return context.skip(noMount)
    await isolate(
      Effect.gen(function* () {
        const disk = yield* smallDisk(64)
        const open = yield* reopenable(join(disk, "data"))
        const first = yield* open
        const record = submitted({ id: "a" })
        const seq = yield* first.log.append("t.a.s", 0, record)
        yield* first.log.appendOutput("a", printed("x".repeat(200 * 1024)))
        yield* fillDisk(disk)
        yield* first.close
        yield* fillDisk(disk)
        const again = yield* open
        expect(yield* again.log.last("a")).toEqual({ seq, subject: "t.a.s", record })
        yield* again.log.purgeOutput("a")
        yield* again.log.append("t.a.s", seq, started(record.state))
      }),
    )
  })

  it("EL12 tasks can be removed while it is full, and what that frees is used again", async (context) => {
    if (noMount !== null) return context.skip(noMount)
    await isolate(
      Effect.gen(function* () {
        const disk = yield* smallDisk(64)
        const dataDir = join(disk, "data")
        const { log } = yield* openStore(dataDir)
        const large = printed("x".repeat(200 * 1024))
        const first = submitted({ id: "old" })
        const seq = yield* log.append(stateSubject("old"), 0, first)
        const write = codeOf(log.appendOutput("old", large))
        for (let i = 0; i < 20; i++) expect(yield* write).toBe("none")
        expect(existsSync(join(dataDir, "berth.reserve"))).toBe(true)
        yield* fillDisk(disk)
        while ((yield* write) === "none");
        expect(yield* write).toBe("STORAGE_FULL")

        yield* log.purgeOutput("old")
        expect(existsSync(join(dataDir, "berth.reserve"))).toBe(false)
        expect(yield* log.readTask("old", 0, 10)).toHaveLength(1)
        yield* log.entomb("old", seq, tombstoneOf(first.state))
        const fresh = submitted({ id: "new" })
        const newSeq = yield* log.append(stateSubject("new"), 0, fresh)

        yield* freeDisk(disk)
        let last = yield* log.append(stateSubject("new"), newSeq, started(fresh.state))
        for (let i = 0; i < 130; i++) last = yield* log.append(stateSubject("new"), last, started(fresh.state))
        expect(existsSync(join(dataDir, "berth.reserve"))).toBe(true)
      }),
    )
  })
})
