import * as fc from "fast-check"
import { Effect, Exit, Fiber, Stream } from "effect"
import { describe, expect, it } from "vitest"
import type { LogEntry } from "../../../core/record.ts"
import { feedFrom } from "../../../store/shared/feed.ts"
import { Tail } from "../../../store/shared/tail.ts"
import { isolate } from "../../support/effect.ts"
import { printed } from "../../support/task.ts"

const record = printed("x")
const kept = (seq: number, bytes = 10) => ({ entry: { seq, subject: "t.a.o", record }, bytes })
const seqs = (entries: readonly LogEntry[] | null): readonly number[] | null =>
  entries === null ? null : entries.map((entry) => entry.seq)

describe("tail", () => {
  it("T1 answers from the window, and for what is before it leaves the answer to the pages", () => {
    const tail = new Tail(10)
    tail.push([kept(11), kept(14), kept(15)])
    expect(tail.head).toBe(15)
    expect(seqs(tail.read(10, 100))).toEqual([11, 14, 15])
    expect(seqs(tail.read(12, 100))).toEqual([14, 15])
    expect(seqs(tail.read(10, 2))).toEqual([11, 14])
    expect(seqs(tail.read(15, 100))).toEqual([])
    expect(tail.read(9, 100)).toBeNull()
    tail.forgetWindow(15)
    expect(tail.read(14, 100)).toBeNull()
    expect(seqs(tail.read(15, 100))).toEqual([])
  })

  it("T2 keeps a bounded number of entries and of bytes, the newest", () => {
    const many = new Tail(0)
    for (let seq = 1; seq <= 10_000; seq++) many.push([kept(seq)])
    expect(many.read(10_000 - 4_097, 1)).toBeNull()
    expect(seqs(many.read(10_000 - 4_096, 1))).toEqual([10_000 - 4_095])
    many.forgetWindow(10_000)
    many.push([kept(10_001)])
    expect(seqs(many.read(10_000, 10))).toEqual([10_001])
    const large = new Tail(0)
    const mebibyte = 1024 * 1024
    for (let seq = 1; seq <= 100; seq++) large.push([kept(seq, mebibyte)])
    expect(large.read(83, 1)).toBeNull()
    expect(seqs(large.read(84, 100))).toEqual(Array.from({ length: 16 }, (_, i) => 85 + i))
  })

  it("T3 a reader wakes when the head moves, and fails when the store closes", async () => {
    await isolate(
      Effect.gen(function* () {
        const tail = new Tail(0)
        const waiting = yield* Effect.forkChild(tail.pastHead(0), { startImmediately: true })
        tail.push([kept(1)])
        yield* Fiber.join(waiting)
        yield* tail.pastHead(0)
        const late = yield* Effect.forkChild(Effect.flip(tail.pastHead(1)), { startImmediately: true })
        tail.close()
        expect((yield* Fiber.join(late)).code).toBe("STORE_UNAVAILABLE")
      }),
    )
  })

  it("T3 a reader that gave up is not called any more", async () => {
    await isolate(
      Effect.gen(function* () {
        const tail = new Tail(0)
        const waiting = yield* Effect.forkChild(tail.pastHead(0), { startImmediately: true })
        yield* Fiber.interrupt(waiting)
        tail.push([kept(1)])
        expect(Exit.isFailure(yield* Fiber.await(waiting))).toBe(true)
      }),
    )
  })
})

describe("feed", () => {
  it("a reader whose entries were all removed looks once and then waits for what comes", async () => {
    await isolate(
      Effect.gen(function* () {
        const tail = new Tail(100)
        let pages = 0
        const page = () => Effect.sync(() => (pages++, [] as readonly LogEntry[]))
        const reading = yield* Effect.forkChild(Stream.runHead(feedFrom(tail, page, 0)), { startImmediately: true })
        for (let turn = 0; turn < 50; turn++) yield* Effect.yieldNow
        expect(pages).toBe(1)
        tail.push([kept(101)])
        yield* Fiber.join(reading)
        expect(pages).toBe(1)
      }),
    )
  })

  it("EL8 whatever was written, removed and read when, a reader sees what is left of it once, in order", async () => {
    const action = fc.oneof(
      fc.record({ type: fc.constant("write" as const), count: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ type: fc.constant("remove" as const), every: fc.integer({ min: 2, max: 5 }) }),
      fc.record({ type: fc.constant("trim" as const), count: fc.constant(0) }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { minLength: 1, maxLength: 25 }),
        fc.nat({ max: 30 }),
        async (actions, afterSeq) => {
          await isolate(
            Effect.gen(function* () {
              const tail = new Tail(0)
              let stored: LogEntry[] = []
              let head = 0
              let todo = [...actions]
              const page = (after: number, entriesMax: number) =>
                Effect.sync(() => stored.filter((entry) => entry.seq > after).slice(0, Math.min(entriesMax, 7)))
              const act = (): void => {
                const [next, ...rest] = todo
                todo = rest
                if (next?.type === "write") {
                  const fresh = Array.from({ length: next.count }, () => kept(++head))
                  stored.push(...fresh.map(({ entry }) => entry))
                  tail.push(fresh)
                } else if (next?.type === "remove") {
                  stored = stored.filter((entry) => entry.seq % next.every !== 0)
                  tail.forgetWindow(head)
                } else if (next?.type === "trim") tail.forgetWindow(head)
              }
              act()
              const seen: number[] = []
              const reader = Stream.runForEachWhile(feedFrom(tail, page, afterSeq), (batch) =>
                Effect.sync(() => {
                  expect(batch.length).toBeGreaterThan(0)
                  seen.push(...batch.map((entry) => entry.seq))
                  act()
                  return true
                }),
              )
              const reading = yield* Effect.forkChild(Effect.exit(reader), { startImmediately: true })
              while (todo.length > 0) act()
              for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
              tail.close()
              yield* Fiber.join(reading)
              expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b))
              for (const { seq } of stored) if (seq > afterSeq) expect(seen).toContain(seq)
            }),
          )
        },
      ),
      { numRuns: 100 },
    )
  })
})
