import { Effect } from "effect"
import { expect, it } from "vitest"
import { stateSubject } from "../../core/record.ts"
import { codeOf } from "../support/code.ts"
import { takeFeed } from "../support/feed.ts"
import type { LogTests } from "../support/logUnderTest.ts"
import { admitted, output, printed, started, submitted } from "../support/task.ts"

/** EL10 to EL12: damaged records, values read back equal, a full disk. */
export const damageGuarantees = ({ test, use }: LogTests): void => {
  test(
    "EL10",
    "a damaged record is reported, never returned, and its neighbours are readable",
    use(({ log, damage, reopen }) =>
      Effect.gen(function* () {
        yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))
        const bad = yield* log.appendOutput("a", printed("x".repeat(100)))
        yield* log.append(stateSubject("b"), 0, submitted({ id: "b" }))
        const lost = yield* log.append(stateSubject("c"), 0, submitted({ id: "c" }))
        yield* damage(bad)
        yield* damage(lost)
        const again = yield* reopen
        expect(yield* codeOf(again.readTask("a", 0, 10))).toBe("STORE_CORRUPT")
        expect(yield* codeOf(takeFeed(again, 0, 4))).toBe("STORE_CORRUPT")
        expect(yield* codeOf(again.last("c"))).toBe("STORE_CORRUPT")
        expect((yield* again.last("b"))?.record.kind).toBe("task")
      }),
    ),
  )

  it(
    "EL11 numbers, text, bytes and null are read back equal",
    use(({ log }) =>
      Effect.gen(function* () {
        const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
        const data = {
          text: "\u0000 \ud83d\ude00 \ud800 \u2028",
          big: Number.MAX_SAFE_INTEGER,
          small: 5e-324,
          no: null,
          list: [[], {}],
        }
        const record = output([
          { type: "chunk", stream: "stdout", offset: 2 ** 52, bytes },
          { type: "gap", stream: "stderr", offset: 0, bytes: null },
          { type: "progress", offset: 3, data, atMs: 1.5 },
          { type: "chunk", stream: "stderr", offset: 0, bytes: new Uint8Array(0) },
        ])
        yield* log.appendOutput("a", record)
        yield* log.append("control", 0, admitted({ taskId: "a", epoch: 1 }))
        expect((yield* log.readTask("a", 0, 1))[0]?.record).toEqual(record)
        expect((yield* takeFeed(log, 0, 1))[0]?.record).toEqual(record)
      }),
    ),
  )

  it(
    "EL11 what cannot be read back equal, or is too large, is refused before it is written",
    use(({ log }) =>
      Effect.gen(function* () {
        const progress = (data: unknown) =>
          log.appendOutput("a", output([{ type: "progress", offset: 0, data, atMs: 1 }]))
        for (const data of [Number.NaN, Number.POSITIVE_INFINITY, { gone: undefined }, 1n, new Date(0), () => 0]) {
          expect(yield* codeOf(progress(data))).toBe("INVALID_PARAMS")
        }
        expect(yield* codeOf(progress("x".repeat(256 * 1024)))).toBe("TOO_LARGE")
        const facts = Array.from({ length: 65 }, () => submitted({ id: "a" }).facts).flat()
        expect(yield* codeOf(log.append(stateSubject("a"), 0, { ...submitted({ id: "a" }), facts }))).toBe("TOO_LARGE")
        expect(yield* log.head).toBe(0)
      }),
    ),
  )

  test(
    "EL12",
    "a full store refuses, keeps what it has, and goes on once there is room",
    use(({ log, fill, makeRoom }) =>
      Effect.gen(function* () {
        const first = submitted({ id: "a" })
        const seq = yield* log.append(stateSubject("a"), 0, first)
        yield* fill
        const large = printed("x".repeat(200 * 1024))
        const refusals = yield* Effect.all(Array.from({ length: 40 }, () => codeOf(log.appendOutput("a", large))))
        expect(refusals).toContain("STORAGE_FULL")
        expect(refusals.filter((code) => code !== "STORAGE_FULL" && code !== "none")).toEqual([])
        expect(yield* log.last("a")).toEqual({ seq, subject: "t.a.s", record: first })
        const kept = refusals.filter((code) => code === "none").length
        yield* makeRoom
        yield* log.append(stateSubject("a"), seq, started(first.state))
        expect(yield* log.readTask("a", 0, 100)).toHaveLength(2 + kept)
      }),
    ),
  )
}
