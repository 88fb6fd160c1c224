/** Does a program read what older ones wrote, and leave alone what newer ones did? */
import { join } from "node:path"
import { Effect } from "effect"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { CONTROL_SUBJECT } from "../../../core/record.ts"
import { decodeRecord, encodeRecord } from "../../../store/shared/codec.ts"
import { openConnection } from "../../../store/sqlite/connection.ts"
import { codeOf } from "../../support/code.ts"
import { isolate } from "../../support/effect.ts"
import { reopenable, temporaryDir } from "../../support/sqlite.ts"
import { output, printed, submitted, termBegan, tombstoneOf } from "../../support/task.ts"

/** The program that runs: what it reads at most. */
const program = vi.hoisted(() => ({ levelMax: 2 }))
vi.mock(import("../../../core/recordLevel.ts"), async (original) => ({
  ...(await original()),
  get RECORD_LEVEL_MAX() {
    return program.levelMax as 1
  },
}))
beforeEach(() => void (program.levelMax = 2))

const first = submitted({ id: "a" })
const RECORDS = [first, termBegan(1), tombstoneOf(first.state), output([])]

describe("the level of records", () => {
  it.each(RECORDS)("C4 is the frame's version, whatever the kind, and every earlier one is read", (record) => {
    for (const level of [1, 2]) {
      const bytes = encodeRecord(record, level)
      expect(bytes[0]).toBe(level)
      expect(decodeRecord(bytes)).toEqual(record)
    }
  })

  it.each(RECORDS)("C4 is neither written nor read beyond what this program knows", async (record) => {
    const later = encodeRecord(record, 2)
    program.levelMax = 1
    const attempt = (body: () => unknown) =>
      Effect.runPromise(codeOf(Effect.try({ try: body, catch: (e) => e as never })))
    expect(await attempt(() => encodeRecord(record, 2))).toBe("SCHEMA_TOO_NEW")
    expect(await attempt(() => decodeRecord(later))).toBe("SCHEMA_TOO_NEW")
  })

  it("EL14 is written in a data directory once it is raised, and an older program then touches nothing there", () =>
    isolate(
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const open = yield* reopenable(dataDir)
        const { log } = yield* open
        const began = yield* log.append(CONTROL_SUBJECT, 0, { ...termBegan(1), level: 2 })
        yield* log.append("t.a.s", 0, first)
        log.raise(2)
        yield* log.appendOutput("a", printed("x"))
        yield* log.append(CONTROL_SUBJECT, began, { ...termBegan(2), level: 2 })
        yield* (yield* open).close
        const levels = Effect.acquireUseRelease(
          openConnection(join(dataDir, "berth.db"), "read"),
          (on) => on.all("select hex(substr(body, 1, 1)) level from entries order by seq"),
          (on) => on.close,
        )
        const before = yield* levels
        expect(before.map(({ level }) => level)).toEqual(["01", "01", "02", "02"])
        program.levelMax = 1
        expect(yield* codeOf(open)).toBe("SCHEMA_TOO_NEW")
        program.levelMax = 2
        expect(yield* (yield* open).log.head).toBe(4)
        expect(yield* levels).toEqual(before)
      }),
    ))
})
