import { Effect } from "effect"
import { expect, it } from "vitest"
import { LIMITS } from "../../core/limits.ts"
import type { ListPage, ListQuery, TaskRow } from "../../core/readmodel/row.ts"
import type { Lane } from "../../core/words.ts"
import { codeOf } from "../support/code.ts"
import { everything, ids, Script, type UseModel } from "../support/modelUnderTest.ts"
import { AT_MS, ended, started, submitted, updated } from "../support/task.ts"

/** RM3: pages and filters. */
export const listGuarantees = (use: UseModel): void => {
  it(
    "RM3 pages go from the newest to the oldest without repeat or omission, also among equal times",
    use((model) =>
      Effect.gen(function* () {
        const script = new Script()
        for (let i = 0; i < 23; i++)
          script.add(submitted({ id: `t${String(i).padStart(2, "0")}`, atMs: AT_MS + (i >> 2) }))
        yield* model.apply(script.entries)
        const seen: string[] = []
        for (let cursor: string | null = null; ; ) {
          const page: { rows: readonly TaskRow[]; nextCursor: string | null } = yield* model.list({
            ...everything,
            cursor,
            rowsMax: 5,
          })
          seen.push(...ids(page.rows))
          cursor = page.nextCursor
          if (cursor === null) break
        }
        expect(seen).toEqual(Array.from({ length: 23 }, (_, i) => `t${String(22 - i).padStart(2, "0")}`))
        expect(yield* codeOf(model.list({ ...everything, cursor: "nonsense" }))).toBe("INVALID_PARAMS")
        expect(ids((yield* model.list({ ...everything, rowsMax: 0 })).rows)).toHaveLength(1)
      }),
    ),
  )

  it(
    "RM3 a page ends before it grows too large, with at least one row, and the next one goes on from there",
    use((model) =>
      Effect.gen(function* () {
        const script = new Script()
        const add = (id: string, atMs: number, valueBytes: number) => {
          const running = script.add(started(script.add(submitted({ id, atMs: AT_MS + atMs })).state))
          script.add(ended(running.state, { value: "x".repeat(valueBytes) }))
        }
        const part = LIMITS.listPageBytesMax / 4
        // Two that fit with room to spare, one that is too large by itself, three of which the third does not fit any more.
        for (const [at, bytes] of [part, part, part * 5, part * 1.5, part * 1.5, part * 1.5].entries())
          add(`t${at}`, 10 - at, bytes)
        yield* model.apply(script.entries)
        const pages: (readonly string[])[] = []
        for (let cursor: string | null = null; pages.length < 9; ) {
          const page: ListPage = yield* model.list({ ...everything, cursor })
          pages.push(ids(page.rows))
          cursor = page.nextCursor
          if (cursor === null) break
        }
        expect(pages).toEqual([["t0", "t1"], ["t2"], ["t3", "t4"], ["t5"]])
        expect(ids((yield* model.list({ ...everything, rowsMax: 1 })).rows)).toEqual(["t0"])
        const end = yield* model.list({ ...everything, submittedBeforeMs: AT_MS + 7 })
        expect([ids(end.rows), end.nextCursor === null]).toEqual([["t4", "t5"], true])
      }),
    ),
  )

  it(
    "RM3 every filter narrows, and several narrow together",
    use((model) =>
      Effect.gen(function* () {
        const script = new Script()
        const add = (id: string, owner: string, lane: Lane, labels: Record<string, string>, atMs: number) =>
          script.add(submitted({ id, owner, spec: { lane, labels }, atMs: AT_MS + atMs }))
        const a = add("a", "ann", "high", { team: "x", env: "prod" }, 1)
        const b = add("b", "ann", "low", { team: "x" }, 2)
        add("c", "bob", "high", { team: "y" }, 3)
        const failed = script.add(started(a.state))
        script.add(ended(failed.state, { status: "failed", reason: "exit_nonzero" }))
        yield* model.apply(script.entries)
        script.add(updated(b.state, { team: "z", "a b": "'; --" }))
        yield* model.apply(script.entries)
        const found = (query: Partial<ListQuery>) =>
          Effect.map(model.list({ ...everything, ...query }), (page) => ids(page.rows))
        expect(yield* found({})).toEqual(["c", "b", "a"])
        expect(yield* found({ owner: "ann" })).toEqual(["b", "a"])
        expect(yield* found({ statuses: ["pending"] })).toEqual(["c", "b"])
        expect(yield* found({ statuses: ["failed", "timeout"] })).toEqual(["a"])
        expect(yield* found({ statuses: [] })).toEqual([])
        expect(yield* found({ lanes: ["high"] })).toEqual(["c", "a"])
        expect(yield* found({ dead: true })).toEqual(["a"])
        expect(yield* found({ labels: { team: "x" } })).toEqual(["a"])
        expect(yield* found({ labels: { team: "x", env: "prod" } })).toEqual(["a"])
        expect(yield* found({ labels: { "a b": "'; --" } })).toEqual(["b"])
        expect(yield* found({ labels: { team: "z", env: "prod" } })).toEqual([])
        expect(yield* found({ submittedAfterMs: AT_MS + 1 })).toEqual(["c", "b"])
        expect(yield* found({ submittedBeforeMs: AT_MS + 3, submittedAfterMs: AT_MS + 1 })).toEqual(["b"])
        expect(yield* found({ owner: "bob", lanes: ["low"] })).toEqual([])
      }),
    ),
  )

  it(
    "RM3 an owner, a label and a time may be anything that was let in",
    use((model) =>
      Effect.gen(function* () {
        const texts = ["", "a\u0000b", "a\u0000c", "\ud800", "\udfff", "%d800", "😀", "'; --", "%", "é".repeat(100)]
        const script = new Script()
        for (const [i, text] of texts.entries()) {
          script.add(
            submitted({ id: `t${i}`, owner: text, spec: { labels: { [`n${text}`]: text } }, atMs: AT_MS + i / 8 }),
          )
        }
        yield* model.apply(script.entries)
        const order = texts.map((_, i) => `t${texts.length - 1 - i}`)
        const first = yield* model.list({ ...everything, rowsMax: 4 })
        const second = yield* model.list({ ...everything, cursor: first.nextCursor })
        expect([...ids(first.rows), ...ids(second.rows)]).toEqual(order)
        for (const [i, text] of texts.entries()) {
          expect(ids((yield* model.list({ ...everything, owner: text })).rows)).toEqual([`t${i}`])
          expect(ids((yield* model.list({ ...everything, labels: { [`n${text}`]: text } })).rows)).toEqual([`t${i}`])
          expect((yield* model.counts(text)).byStatus.pending).toBe(1)
          expect((yield* model.get(`t${i}`))?.state.owner).toBe(text)
        }
      }),
    ),
  )
}
