/** The same random histories on every adapter: they agree with a trivial model, and their read models with each other. */
import { join } from "node:path"
import * as fc from "fast-check"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { LogEntry } from "../../core/record.ts"
import { makeMemoryReadModel, makeMemoryStore } from "../../store/memory/index.ts"
import { noteDamage } from "../../store/sqlite/damage.ts"
import { openReadModel } from "../../store/sqlite/readModel.ts"
import { isolate } from "../support/effect.ts"
import { takeFeed } from "../support/feed.ts"
import { answers, history, play } from "../support/history.ts"
import { openStore, reopenable, temporaryDir } from "../support/sqlite.ts"
import { AT_MS, ended, printed, retriedByHand, started, submitted } from "../support/task.ts"

const cut = <A>(all: readonly A[], sizes: readonly number[]): readonly (readonly A[])[] => {
  const batches: A[][] = []
  for (let at = 0, i = 0; at < all.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    batches.push(all.slice(at, at + size))
    at += size
  }
  return batches
}

describe("random histories", () => {
  it("EL2 EL7 EL9 memory agrees with a list of records", async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        await isolate(play(makeMemoryStore().log, steps))
      }),
      { numRuns: 200 },
    )
  })

  it("EL2 EL7 EL9 RM2 sqlite agrees with it too, before and after it was opened again", async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        await isolate(
          Effect.gen(function* () {
            const dataDir = yield* temporaryDir
            const reference = makeMemoryStore()
            yield* play(reference.log, steps)
            const open = yield* reopenable(dataDir)
            const first = yield* open
            const model = yield* play(first.log, steps)
            const expected = yield* answers(reference.model.readModel)
            expect(yield* answers(first.readModel)).toEqual(expected)
            const again = yield* open
            expect(yield* answers(again.readModel)).toEqual(expected)
            expect(yield* again.log.head).toBe(yield* reference.log.head)
            if (model.entries.length > 0) {
              expect(yield* takeFeed(again.log, 0, model.entries.length)).toEqual(model.entries)
            }
          }),
        )
      }),
      { numRuns: 25 },
    )
  })

  it("RM2 read models agree whatever the batches were, and with one that was folded anew", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(history, sizes, sizes, async (steps, sizesA, sizesB) => {
        await isolate(
          Effect.gen(function* () {
            const dir = yield* temporaryDir
            const open = yield* reopenable(join(dir, "data"))
            const store = yield* open
            // What retention removed without a record is not in the log, so a new fold cannot know of it.
            const { entries } = yield* play(
              store.log,
              steps.filter((step) => step.type !== "purge" && step.type !== "forget"),
            )
            const memory = makeMemoryReadModel().readModel
            const sqlite = yield* openReadModel(join(dir, "model.db"))
            const feed: readonly LogEntry[] = entries
            for (const batch of cut(feed, sizesA)) yield* memory.apply(batch)
            for (const batch of cut(feed, sizesB)) yield* sqlite.apply(batch)
            const expected = yield* answers(memory)
            expect(yield* answers(sqlite)).toEqual(expected)
            expect(yield* answers(store.readModel)).toEqual(expected)
            noteDamage(join(dir, "data", "berth.db"))
            expect(yield* answers((yield* open).readModel)).toEqual(expected)
          }),
        )
      }),
      { numRuns: 20 },
    )
  })

  it("RM2 output that was purged is not looked at again, until the task runs once more", async () => {
    await isolate(
      Effect.gen(function* () {
        const memory = makeMemoryStore()
        const sqlite = yield* openStore(yield* temporaryDir)
        for (const { log, readModel } of [{ log: memory.log, readModel: memory.model.readModel }, sqlite]) {
          const first = submitted({ id: "a" })
          const second = started(first.state)
          const third = ended(second.state, { status: "failed", reason: "exit_nonzero" })
          let seq = 0
          for (const record of [first, second, third]) seq = yield* log.append("t.a.s", seq, record)
          yield* log.appendOutput("a", printed("x"))
          const withOutput = Effect.map(readModel.endedBefore(AT_MS + 60_000, 10, "withOutput"), (rows) => rows.length)
          const all = Effect.map(readModel.endedBefore(AT_MS + 60_000, 10, "all"), (rows) => rows.length)
          expect([yield* withOutput, yield* all]).toEqual([1, 1])
          yield* log.purgeOutput("a")
          expect([yield* withOutput, yield* all]).toEqual([0, 1])
          const fourth = retriedByHand(third.state)
          const fifth = started(fourth.state)
          for (const record of [fourth, fifth, ended(fifth.state)]) seq = yield* log.append("t.a.s", seq, record)
          expect([yield* withOutput, yield* all]).toEqual([1, 1])
        }
      }),
    )
  })
})
