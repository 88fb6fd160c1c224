import { Effect, Exit, Fiber, type Scope, Stream } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import { type LogEntry, outputSubject, stateSubject } from "../../core/record.ts"
import { codeOf } from "../support/code.ts"
import { isolate } from "../support/effect.ts"
import { admitted, ended, output, printed, started, submitted, termBegan, tombstoneOf } from "../support/task.ts"

type Log = EventLog["Service"]

/** An adapter in the hands of a test: the port, and what only its own folder can do. */
export interface LogUnderTest {
  readonly log: Log
  /** The same data as another process, or this one after a restart, sees it. */
  readonly reopen: Effect.Effect<Log, BerthError, Scope.Scope>
  /** Flips a byte of a stored record. */
  readonly damage: (seq: number) => Effect.Effect<void, BerthError>
  /** From now on there is no room for a large record; until `makeRoom`. */
  readonly fill: Effect.Effect<void, BerthError>
  readonly makeRoom: Effect.Effect<void, BerthError>
}

/** What may differ between adapters. */
export interface EventLogTraits {
  readonly name: string
  readonly open: Effect.Effect<LogUnderTest, BerthError, Scope.Scope>
  readonly durability: Log["durability"]
  /** Rounds of the race for one version. */
  readonly rounds: number
  /** Why a guarantee cannot be put to the test here; absent: it can. */
  readonly untestable?: { readonly EL1?: string; readonly EL10?: string; readonly EL12?: string }
}

/** The first `count` entries of the feed. */
export const takeFeed = (log: Log, afterSeq: number, count: number): Effect.Effect<readonly LogEntry[], BerthError> =>
  Effect.gen(function* () {
    const entries: LogEntry[] = []
    yield* Stream.runForEachWhile(log.feed(afterSeq), (batch) =>
      Effect.sync(() => {
        entries.push(...batch)
        return entries.length < count
      }),
    )
    return entries
  })

export const eventLogContract = (traits: EventLogTraits): void => {
  describe(`EventLog contract: ${traits.name}`, () => {
    const use = (body: (subject: LogUnderTest) => Effect.Effect<void, BerthError, Scope.Scope>) => () =>
      isolate(Effect.flatMap(traits.open, body))
    const test = (id: "EL1" | "EL10" | "EL12", title: string, run: () => Promise<void>): void => {
      const reason = traits.untestable?.[id]
      it.skipIf(reason !== undefined)(`${id} ${title}${reason === undefined ? "" : ` (not here: ${reason})`}`, run)
    }

    test(
      "EL1",
      "what was acknowledged is there for whoever opens the log next",
      use(({ log, reopen }) =>
        Effect.gen(function* () {
          const first = submitted({ id: "a" })
          const seq = yield* log.append(stateSubject("a"), 0, first)
          yield* log.appendOutput("a", printed("hello"))
          const again = yield* reopen
          expect(yield* again.last("a")).toEqual({ seq, subject: "t.a.s", record: first })
          expect(yield* again.readTask("a", 0, 10)).toHaveLength(2)
          expect(yield* again.head).toBe(yield* log.head)
        }),
      ),
    )

    it(
      "EL1 says what a returned append means",
      use(({ log }) => Effect.sync(() => expect(log.durability).toBe(traits.durability))),
    )

    it(
      "EL2 an append at another version than the subject's is refused and leaves nothing",
      use(({ log }) =>
        Effect.gen(function* () {
          const first = submitted({ id: "a" })
          const seq = yield* log.append(stateSubject("a"), 0, first)
          const second = started(first.state)
          expect(yield* codeOf(log.append(stateSubject("a"), 0, second))).toBe("VERSION_CONFLICT")
          expect(yield* codeOf(log.append(stateSubject("a"), seq + 1, second))).toBe("VERSION_CONFLICT")
          expect(yield* codeOf(log.append(stateSubject("never"), 7, submitted({ id: "never" })))).toBe(
            "VERSION_CONFLICT",
          )
          expect(yield* log.readTask("a", 0, 10)).toHaveLength(1)
          expect(yield* log.last("never")).toBeNull()
        }),
      ),
    )

    it(
      `EL2 of 64 writers at one version exactly one wins, ${traits.rounds} times over`,
      use(({ log }) =>
        Effect.gen(function* () {
          let version = 0
          for (let round = 0; round < traits.rounds; round++) {
            const writers = Array.from({ length: 64 }, () =>
              Effect.exit(log.append(stateSubject("a"), version, submitted({ id: "a" }))),
            )
            const exits = yield* Effect.all(writers, { concurrency: "unbounded" })
            const won = exits.filter(Exit.isSuccess)
            expect(won).toHaveLength(1)
            expect(won[0]?.value).toBeGreaterThan(version)
            version = won[0]?.value ?? 0
          }
          expect((yield* log.last("a"))?.seq).toBe(version)
          expect(yield* countOf(log, "a")).toBe(traits.rounds)
        }),
      ),
    )

    it(
      "EL2 the control subject has one version too",
      use(({ log }) =>
        Effect.gen(function* () {
          expect(yield* log.lastControl).toBeNull()
          const term = termBegan(1)
          const seq = yield* log.append("control", 0, term)
          expect(yield* codeOf(log.append("control", 0, termBegan(2)))).toBe("VERSION_CONFLICT")
          expect(yield* log.lastControl).toEqual({ seq, subject: "control", record: term })
        }),
      ),
    )

    it(
      "EL3 sequences grow over the whole log, also after its newest entries were removed",
      use(({ log }) =>
        Effect.gen(function* () {
          const a = yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))
          const o = yield* log.appendOutput("a", printed("x"))
          const b = yield* log.append(stateSubject("b"), 0, submitted({ id: "b" }))
          expect(a).toBeGreaterThan(0)
          expect(o).toBeGreaterThan(a)
          expect(b).toBeGreaterThan(o)
          yield* log.forget("b")
          expect(yield* log.append(stateSubject("c"), 0, submitted({ id: "c" }))).toBeGreaterThan(b)
          expect((yield* log.last("a"))?.seq).toBe(a)
        }),
      ),
    )

    it(
      "EL3 a sequence is not used again by whoever opens the log next",
      use(({ log, reopen }) =>
        Effect.gen(function* () {
          const seq = yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))
          yield* log.forget("a")
          const again = yield* reopen
          expect(yield* again.append(stateSubject("b"), 0, submitted({ id: "b" }))).toBeGreaterThan(seq)
        }),
      ),
    )

    it(
      "EL4 `last` sees an append that returned, and not what output came after it",
      use(({ log }) =>
        Effect.gen(function* () {
          expect(yield* log.last("a")).toBeNull()
          const first = submitted({ id: "a" })
          let seq = yield* log.append(stateSubject("a"), 0, first)
          yield* log.appendOutput("a", printed("x"))
          expect(yield* log.last("a")).toEqual({ seq, subject: "t.a.s", record: first })
          const second = started(first.state)
          seq = yield* log.append(stateSubject("a"), seq, second)
          expect(yield* log.last("a")).toEqual({ seq, subject: "t.a.s", record: second })
        }),
      ),
    )

    it(
      "EL5 `after` tells who won the version that two wanted",
      use(({ log }) =>
        Effect.gen(function* () {
          const first = submitted({ id: "a" })
          const seq = yield* log.append(stateSubject("a"), 0, first)
          const winner = started(first.state)
          const won = yield* log.append(stateSubject("a"), seq, winner)
          yield* log.appendOutput("a", printed("x"))
          yield* log.append(stateSubject("a"), won, ended(winner.state))
          expect(yield* log.after(stateSubject("a"), seq)).toEqual({ seq: won, subject: "t.a.s", record: winner })
          expect((yield* log.after(stateSubject("a"), 0))?.record).toEqual(first)
          expect(yield* log.after(stateSubject("a"), yield* log.head)).toBeNull()
          expect(yield* log.after(stateSubject("b"), 0)).toBeNull()
        }),
      ),
    )

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
          expect(yield* codeOf(log.append(stateSubject("a"), 0, { ...submitted({ id: "a" }), facts }))).toBe(
            "TOO_LARGE",
          )
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
  })
}

const offsetOf = (entry: LogEntry): number | null =>
  entry.record.kind === "output" ? (entry.record.items[0]?.offset ?? null) : null

const countOf = (log: Log, taskId: string): Effect.Effect<number, BerthError> =>
  Effect.gen(function* () {
    let count = 0
    for (let after = 0; ; ) {
      const page = yield* log.readTask(taskId, after, 500)
      if (page.length === 0) return count
      count += page.length
      after = page.at(-1)?.seq ?? after
    }
  })
