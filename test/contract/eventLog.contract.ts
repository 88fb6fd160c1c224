import { Effect, Exit, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { CONTROL_SUBJECT, stateSubject } from "../../core/record.ts"
import { RECORD_LEVEL_MAX } from "../../core/recordLevel.ts"
import { codeOf } from "../support/code.ts"
import { type EventLogTraits, type Log, logTests } from "../support/logUnderTest.ts"
import { ended, printed, started, submitted, termBegan, tombstoneOf, updated } from "../support/task.ts"
import { damageGuarantees } from "./eventLogDamage.contract.ts"
import { readingGuarantees } from "./eventLogReading.contract.ts"

/** Every guarantee of the event log, put to one adapter: writing here, reading and damage in the files beside. */
export const eventLogContract = (traits: EventLogTraits): void => {
  describe(`EventLog contract: ${traits.name}`, () => {
    const tests = logTests(traits)
    const { test, use } = tests
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
      use(({ log }) =>
        Effect.sync(() => expect([log.durability, log.replicas]).toEqual([traits.durability, traits.replicas])),
      ),
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
          const buried = yield* log.entomb("b", b, tombstoneOf(submitted({ id: "b" }).state))
          yield* log.forget("b")
          expect(yield* log.append(stateSubject("c"), 0, submitted({ id: "c" }))).toBeGreaterThan(buried)
          expect((yield* log.last("a"))?.seq).toBe(a)
        }),
      ),
    )

    it(
      "EL3 a sequence is not used again by whoever opens the log next",
      use(({ log, reopen }) =>
        Effect.gen(function* () {
          const first = submitted({ id: "a" })
          const seq = yield* log.append(stateSubject("a"), 0, first)
          const buried = yield* log.entomb("a", seq, tombstoneOf(first.state))
          yield* log.forget("a")
          const again = yield* reopen
          expect(yield* again.append(stateSubject("b"), 0, submitted({ id: "b" }))).toBeGreaterThan(buried)
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
      "EL4 `last` is never older than what a read has shown, also while appends are under way",
      use(({ log }) =>
        Effect.gen(function* () {
          const oneTask = (id: string) =>
            Effect.gen(function* () {
              const first = submitted({ id })
              let version = yield* log.append(stateSubject(id), 0, first)
              for (let round = 0; round < traits.rounds / 20; round++) {
                const record = updated(first.state, { round: String(round) })
                const writing = yield* Effect.forkChild(log.append(stateSubject(id), version, record))
                for (let shown = version; shown === version; ) {
                  shown = (yield* log.readTask(id, version, 10)).at(-1)?.seq ?? version
                  expect((yield* log.last(id))?.seq ?? 0).toBeGreaterThanOrEqual(shown)
                }
                version = yield* Fiber.join(writing)
              }
            })
          const ids = Array.from({ length: 8 }, (_, i) => `t${i}`)
          yield* Effect.forEach(ids, oneTask, { concurrency: "unbounded", discard: true })
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
      "EL14 beyond the level that this program reads nothing is written, and everything there is still read",
      use(({ log }) =>
        Effect.gen(function* () {
          const first = submitted({ id: "a" })
          const seq = yield* log.append(stateSubject("a"), 0, first)
          expect(log.level()).toBe(1)
          log.raise(RECORD_LEVEL_MAX + 1)
          log.raise(1)
          expect(log.level()).toBe(RECORD_LEVEL_MAX + 1)
          expect(yield* codeOf(log.append(stateSubject("a"), seq, started(first.state)))).toBe("SCHEMA_TOO_NEW")
          expect(yield* codeOf(log.append(CONTROL_SUBJECT, 0, termBegan(1)))).toBe("SCHEMA_TOO_NEW")
          expect(yield* codeOf(log.appendOutput("a", printed("x")))).toBe("SCHEMA_TOO_NEW")
          expect(yield* codeOf(log.entomb("a", seq, tombstoneOf(first.state)))).toBe("SCHEMA_TOO_NEW")
          expect(yield* log.readTask("a", 0, 10)).toEqual([{ seq, subject: "t.a.s", record: first }])
          expect(yield* log.lastControl).toBeNull()
        }),
      ),
    )

    readingGuarantees(tests)
    damageGuarantees(tests)
  })
}

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
