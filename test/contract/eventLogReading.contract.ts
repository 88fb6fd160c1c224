import { Effect, Fiber, Stream } from "effect"
import { expect, it } from "vitest"
import { CONTROL_SUBJECT, type LogEntry, outputSubject, stateSubject } from "../../core/record.ts"
import { codeOf } from "../support/code.ts"
import { takeFeed } from "../support/feed.ts"
import type { Log, LogTests } from "../support/logUnderTest.ts"
import { ended, printed, started, submitted, termBegan, tombstoneOf } from "../support/task.ts"

/** EL6 to EL9 and EL13: output, one task's entries, the feed, retention. */
export const readingGuarantees = ({ use }: LogTests): void => {
  it(
    "EL6 output keeps the order of one caller's calls, and returns when it can be read",
    use(({ log }) =>
      Effect.gen(function* () {
        const calls = Array.from({ length: 50 }, (_, i) => log.appendOutput("a", printed(`line ${i}\n`, i)))
        const seqs = yield* Effect.all(calls, { concurrency: "unbounded" })
        expect(seqs).toEqual([...seqs].sort((a, b) => a - b))
        const entries = yield* log.readTask("a", 0, 100)
        expect(entries.map((entry) => entry.seq)).toEqual(seqs)
        expect(entries.map((entry) => offsetOf(entry))).toEqual(calls.map((_, i) => i))
      }),
    ),
  )

  it(
    "EL7 one task's states and output come in log order, each once, by pages",
    use(({ log }) =>
      Effect.gen(function* () {
        const first = submitted({ id: "a" })
        const second = started(first.state)
        const seqs = [yield* log.append(stateSubject("a"), 0, first)]
        yield* log.append(stateSubject("b"), 0, submitted({ id: "b" }))
        seqs.push(yield* log.appendOutput("a", printed("1")))
        yield* log.appendOutput("b", printed("not mine"))
        seqs.push(yield* log.append(stateSubject("a"), seqs[0] as number, second))
        seqs.push(yield* log.appendOutput("a", printed("2")))
        seqs.push(yield* log.append(stateSubject("a"), seqs[2] as number, ended(second.state)))
        const paged: LogEntry[] = []
        for (let after = 0; ; after = paged.at(-1)?.seq ?? after) {
          const page = yield* log.readTask("a", after, 2)
          expect(page.length).toBeLessThanOrEqual(2)
          if (page.length === 0) break
          paged.push(...page)
        }
        expect(paged.map((entry) => entry.seq)).toEqual(seqs)
        expect(paged.map((entry) => entry.subject)).toEqual(["t.a.s", "t.a.o", "t.a.s", "t.a.o", "t.a.s"])
      }),
    ),
  )

  it(
    "EL8 the feed gives what is there and goes on with what comes, each once, in order, from anywhere",
    use(({ log }) =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 30 }, (_, i) => `t${i}`)
        const append = (id: string) => log.append(stateSubject(id), 0, submitted({ id }))
        const old: number[] = []
        for (const id of ids.slice(0, 10)) old.push(yield* append(id))
        const early = yield* Effect.forkChild(takeFeed(log, 0, 30))
        const middle = yield* Effect.forkChild(takeFeed(log, old[4] as number, 25))
        const fresh = yield* Effect.all(ids.slice(10).map(append), { concurrency: "unbounded" })
        const all = [...old, ...fresh.sort((a, b) => a - b)]
        expect((yield* Fiber.join(early)).map((entry) => entry.seq)).toEqual(all)
        expect((yield* Fiber.join(middle)).map((entry) => entry.seq)).toEqual(all.slice(5))
        expect((yield* takeFeed(log, 0, 30)).map((entry) => entry.seq)).toEqual(all)
      }),
    ),
  )

  it(
    "EL8 a reader that pauses loses nothing, though more was written than anybody buffers",
    use(({ log }) =>
      Effect.gen(function* () {
        const first = yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))
        const seqs = [first]
        const entries: LogEntry[] = []
        yield* Stream.runForEachWhile(log.feed(0), (batch) =>
          Effect.gen(function* () {
            entries.push(...batch)
            // Once it has caught up, it hears of what comes.
            if (seqs.length > 1 && entries.length === seqs.length && seqs.length <= 5_001)
              seqs.push(yield* log.appendOutput("a", printed("x", 5_000)))
            if (seqs.length > 1) return entries.length < seqs.length
            const writes = Array.from({ length: 5_000 }, (_, i) => log.appendOutput("a", printed("x", i)))
            seqs.push(...(yield* Effect.all(writes, { concurrency: 500 })))
            return true
          }),
        )
        expect(entries.map((entry) => entry.seq)).toEqual(seqs.sort((a, b) => a - b))
      }),
    ),
  )

  it(
    "EL9 purged output is gone and the states stay",
    use(({ log }) =>
      Effect.gen(function* () {
        const first = submitted({ id: "a" })
        const seq = yield* log.append(stateSubject("a"), 0, first)
        yield* log.appendOutput("a", printed("secret"))
        yield* log.appendOutput("b", printed("other"))
        yield* log.purgeOutput("a")
        expect((yield* log.readTask("a", 0, 10)).map((entry) => entry.seq)).toEqual([seq])
        expect(yield* log.after(outputSubject("a"), 0)).toBeNull()
        expect(yield* log.readTask("b", 0, 10)).toHaveLength(1)
        yield* log.append(stateSubject("a"), seq, started(first.state))
      }),
    ),
  )

  it(
    "EL9 a tombstone replaces everything, keeps the version taken, and is forgotten",
    use(({ log }) =>
      Effect.gen(function* () {
        const first = submitted({ id: "a" })
        const seq = yield* log.append(stateSubject("a"), 0, first)
        yield* log.appendOutput("a", printed("x"))
        const tombstone = tombstoneOf(first.state)
        expect(yield* codeOf(log.entomb("a", seq + 5, tombstone))).toBe("VERSION_CONFLICT")
        const buried = yield* log.entomb("a", seq, tombstone)
        const last = { seq: buried, subject: "t.a.s", record: tombstone }
        expect(yield* log.last("a")).toEqual(last)
        expect(yield* log.readTask("a", 0, 10)).toEqual([last])
        expect(yield* takeFeed(log, 0, 1)).toEqual([last])
        expect(yield* codeOf(log.append(stateSubject("a"), 0, first))).toBe("VERSION_CONFLICT")
        yield* log.forget("a")
        expect(yield* log.last("a")).toBeNull()
        expect(yield* log.readTask("a", 0, 10)).toEqual([])
        expect(yield* log.append(stateSubject("a"), 0, first)).toBeGreaterThan(buried)
      }),
    ),
  )

  it(
    "EL9 output that came after the tombstone goes with it",
    use(({ log }) =>
      Effect.gen(function* () {
        const first = submitted({ id: "a" })
        yield* log.entomb("a", yield* log.append(stateSubject("a"), 0, first), tombstoneOf(first.state))
        yield* log.appendOutput("a", printed("late"))
        yield* log.forget("a")
        yield* log.append(stateSubject("a"), 0, first)
        expect(yield* log.readTask("a", 0, 10)).toHaveLength(1)
      }),
    ),
  )

  it(
    "EL9 whoever forgets a tombstone twice does not forget the task that came in between",
    use(({ log }) =>
      Effect.gen(function* () {
        const first = submitted({ id: "a" })
        yield* log.entomb("a", yield* log.append(stateSubject("a"), 0, first), tombstoneOf(first.state))
        yield* log.forget("a")
        yield* log.forget("a")
        const seq = yield* log.append(stateSubject("a"), 0, first)
        yield* log.appendOutput("a", printed("x"))
        yield* log.forget("a")
        expect((yield* log.last("a"))?.seq).toBe(seq)
        expect(yield* log.readTask("a", 0, 10)).toHaveLength(2)
      }),
    ),
  )

  it(
    "EL13 trimmed control records are gone, never the last one, and its version stays taken",
    use(({ log, reopen }) =>
      Effect.gen(function* () {
        yield* log.trimControl(5)
        const seqs: number[] = []
        for (let term = 1; term <= 4; term++)
          seqs.push(yield* log.append(CONTROL_SUBJECT, seqs.at(-1) ?? 0, termBegan(term)))
        const [, second = 0, third = 0, fourth = 0] = seqs
        const task = yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))
        const left = (from: Log) => Effect.map(takeFeed(from, 0, 1), ([first]) => first?.seq)
        for (const before of [0, 1, seqs[0] ?? 0]) yield* log.trimControl(before)
        expect((yield* log.after(CONTROL_SUBJECT, 0))?.seq).toBe(seqs[0])
        yield* log.trimControl(third)
        expect((yield* log.after(CONTROL_SUBJECT, 0))?.seq).toBe(third)
        expect(yield* left(log)).toBe(third)
        yield* log.trimControl(task + 100)
        expect((yield* takeFeed(log, 0, 2)).map(({ seq }) => seq)).toEqual([fourth, task])
        expect(yield* log.after(CONTROL_SUBJECT, second)).toEqual(yield* log.lastControl)
        expect(yield* codeOf(log.append(CONTROL_SUBJECT, 0, termBegan(5)))).toBe("VERSION_CONFLICT")
        const again = yield* reopen
        expect((yield* again.lastControl)?.record).toEqual((yield* log.lastControl)?.record)
        expect((yield* again.last("a"))?.seq).toBe(task)
        expect(yield* again.append(CONTROL_SUBJECT, fourth, termBegan(5))).toBeGreaterThan(task)
      }),
    ),
  )
}

const offsetOf = (entry: LogEntry): number | null =>
  entry.record.kind === "output" ? (entry.record.items[0]?.offset ?? null) : null
