import { Effect, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import type { ListQuery, TaskRow } from "../../core/readmodel/row.ts"
import { CONTROL_SUBJECT, type LogEntry, type LogRecord, stateSubject } from "../../core/record.ts"
import type { Lane } from "../../core/words.ts"
import { codeOf } from "../support/code.ts"
import { isolate } from "../support/effect.ts"
import { admitted, AT_MS, ended, printed, retried, started, submitted, tombstoneOf, updated } from "../support/task.ts"

type Model = ReadModel["Service"]

export interface ModelUnderTest {
  readonly model: Model
  /** Flips a byte of a stored row. */
  readonly damage: (taskId: string) => Effect.Effect<void, BerthError>
}

export interface ReadModelTraits {
  readonly name: string
  /** An empty model, fed through `apply` alone. */
  readonly open: Effect.Effect<ModelUnderTest, BerthError, Scope.Scope>
}

/** Gives records sequences, as a log would. */
class Script {
  readonly entries: LogEntry[] = []
  add<R extends LogRecord>(record: R): R {
    const subject =
      record.kind === "task"
        ? stateSubject(record.state.id)
        : record.kind === "tombstone"
          ? stateSubject(record.id)
          : CONTROL_SUBJECT
    this.entries.push({ seq: this.entries.length + 1, subject, record })
    return record
  }
}

const ids = (rows: readonly TaskRow[]): readonly string[] => rows.map((row) => row.state.id)
const everything: ListQuery = { owner: null, cursor: null, rowsMax: 500 }

export const readModelContract = (traits: ReadModelTraits): void => {
  describe(`ReadModel contract: ${traits.name}`, () => {
    const use = (body: (model: Model, subject: ModelUnderTest) => Effect.Effect<void, BerthError, Scope.Scope>) => () =>
      isolate(Effect.flatMap(traits.open, (subject) => body(subject.model, subject)))

    it(
      "RM1 a batch moves the checkpoint with the rows, and entries at or below it are ignored",
      use((model) =>
        Effect.gen(function* () {
          expect(yield* model.checkpoint).toBe(0)
          const script = new Script()
          const first = script.add(submitted({ id: "a" }))
          const second = script.add(started(first.state))
          yield* model.apply(script.entries)
          expect(yield* model.checkpoint).toBe(2)
          yield* model.apply(script.entries.slice(0, 1))
          expect((yield* model.get("a"))?.state).toEqual(second.state)
          expect(yield* model.checkpoint).toBe(2)
          yield* model.apply([{ seq: 9, subject: "t.a.o", record: printed("x") }])
          expect(yield* model.checkpoint).toBe(9)
        }),
      ),
    )

    it(
      "RM2 a row is the last record and the last admission, and a slot is held while they say so",
      use((model) =>
        Effect.gen(function* () {
          const script = new Script()
          const first = script.add(submitted({ id: "a" }))
          script.add(admitted({ taskId: "a", epoch: 1 }, { taskId: "unknown", epoch: 1 }))
          yield* model.apply(script.entries)
          expect(yield* model.get("a")).toEqual({
            state: first.state,
            seq: 1,
            admitted: { epoch: 1, seq: 2 },
            outputPurged: false,
          })
          expect((yield* model.counts(null)).slotsHeld).toBe(1)
          const second = script.add(started(first.state, 2))
          script.add(ended(second.state))
          yield* model.apply(script.entries)
          expect((yield* model.get("a"))?.admitted).toBeNull()
          expect((yield* model.counts(null)).slotsHeld).toBe(0)
          expect(yield* model.get("unknown")).toBeNull()
        }),
      ),
    )

    it(
      "RM2 counts go by status and lane, of one owner or of all",
      use((model) =>
        Effect.gen(function* () {
          const script = new Script()
          const a = script.add(submitted({ id: "a", owner: "ann", spec: { lane: "urgent" } }))
          script.add(submitted({ id: "b", owner: "ann", spec: { lane: "low" } }))
          const c = script.add(submitted({ id: "c", owner: "bob", spec: { lane: "low" } }))
          const running = script.add(started(a.state))
          script.add(ended(running.state))
          script.add(started(c.state))
          yield* model.apply(script.entries)
          const none = { pending: 0, running: 0, completed: 0, failed: 0, timeout: 0, cancelled: 0 }
          const lanes = { urgent: 0, high: 0, normal: 0, low: 0 }
          expect(yield* model.counts("ann")).toEqual({
            byStatus: { ...none, pending: 1, completed: 1 },
            pendingByLane: { ...lanes, low: 1 },
            slotsHeld: 0,
          })
          expect(yield* model.counts(null)).toEqual({
            byStatus: { ...none, pending: 1, running: 1, completed: 1 },
            pendingByLane: { ...lanes, low: 1 },
            slotsHeld: 1,
          })
          expect((yield* model.counts("nobody")).byStatus).toEqual(none)
        }),
      ),
    )

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

    it(
      "RM4 due rows come earliest first: a waiting retry, a start-by, a start time; never one that runs or rests",
      use((model) =>
        Effect.gen(function* () {
          const script = new Script()
          script.add(started(script.add(submitted({ id: "running", spec: { timeoutMs: 500 } })).state))
          script.add(submitted({ id: "later", spec: { startAtMs: AT_MS + 300 } }))
          script.add(submitted({ id: "soon", spec: { startByMs: AT_MS + 50, startAtMs: AT_MS + 40 } }))
          script.add(submitted({ id: "whenever" }))
          const failing = script.add(started(script.add(submitted({ id: "retrying" })).state))
          script.add(retried(failing.state, AT_MS + 200))
          script.add(ended(script.add(started(script.add(submitted({ id: "done" })).state)).state))
          yield* model.apply(script.entries)
          expect(yield* model.nextDueAtMs).toBe(AT_MS + 40)
          expect(ids(yield* model.due(AT_MS + 39, 10))).toEqual([])
          expect(ids(yield* model.due(AT_MS + 300, 10))).toEqual(["soon", "retrying", "later"])
          expect(ids(yield* model.due(AT_MS + 10_000, 2))).toEqual(["soon", "retrying"])
          expect(ids(yield* model.due(AT_MS + 10_000, 10))).toEqual(["soon", "retrying", "later"])
        }),
      ),
    )

    it(
      "RM4 with nothing due there is no next time",
      use((model) =>
        Effect.gen(function* () {
          expect(yield* model.nextDueAtMs).toBeNull()
          yield* model.apply([{ seq: 1, subject: "t.a.s", record: submitted({ id: "a" }) }])
          expect(yield* model.nextDueAtMs).toBeNull()
        }),
      ),
    )

    it(
      "RM5 a scan gives all rows of a status in id order, by pages",
      use((model) =>
        Effect.gen(function* () {
          const script = new Script()
          const states = ["d", "b", "a", "c", "e"].map((id) => script.add(submitted({ id })).state)
          const running = [states[0], states[3], states[4]].map(
            (state) => script.add(started(state as TaskRow["state"])).state,
          )
          script.add(ended(running[2] as TaskRow["state"]))
          yield* model.apply(script.entries)
          expect(ids(yield* model.scan("pending", "", 10))).toEqual(["a", "b"])
          expect(ids(yield* model.scan("running", "", 1))).toEqual(["c"])
          expect(ids(yield* model.scan("running", "c", 10))).toEqual(["d"])
          expect(ids(yield* model.scan("ended", "", 10))).toEqual(["e"])
          expect(ids(yield* model.scan("ended", "e", 10))).toEqual([])
        }),
      ),
    )

    it(
      "RM6 a record of an unknown kind is refused, and nothing of its batch is applied",
      use((model) =>
        Effect.gen(function* () {
          const strange = { kind: "later", recordId: "x" } as unknown as LogRecord
          const batch: readonly LogEntry[] = [
            { seq: 1, subject: "t.a.s", record: submitted({ id: "a" }) },
            { seq: 2, subject: "t.b.s", record: strange },
          ]
          expect(yield* codeOf(model.apply(batch))).toBe("SCHEMA_TOO_NEW")
          expect(yield* model.checkpoint).toBe(0)
          expect(yield* model.get("a")).toBeNull()
          yield* model.apply(batch.slice(0, 1))
          expect((yield* model.get("a"))?.seq).toBe(1)
        }),
      ),
    )

    it(
      "RM7 a damaged row is reported and never returned; the others are",
      use((model, { damage }) =>
        Effect.gen(function* () {
          const script = new Script()
          script.add(submitted({ id: "a", owner: "ann" }))
          script.add(submitted({ id: "b", owner: "bob" }))
          yield* model.apply(script.entries)
          yield* damage("a")
          expect(yield* codeOf(model.get("a"))).toBe("STORE_CORRUPT")
          expect(yield* codeOf(model.list(everything))).toBe("STORE_CORRUPT")
          expect(yield* codeOf(model.scan("pending", "", 10))).toBe("STORE_CORRUPT")
          expect((yield* model.get("b"))?.state.owner).toBe("bob")
          expect(ids((yield* model.list({ ...everything, owner: "bob" })).rows)).toEqual(["b"])
        }),
      ),
    )

    it(
      "RM2 what retention asks: rows at rest and tombstones, the oldest first, gone when their time is over",
      use((model) =>
        Effect.gen(function* () {
          const script = new Script()
          const end = (id: string, atMs: number) =>
            script.add(ended(script.add(started(script.add(submitted({ id })).state)).state, {}, AT_MS + atMs))
          const a = end("a", 300)
          end("b", 100)
          end("c", 200)
          script.add(started(script.add(submitted({ id: "d" })).state))
          yield* model.apply(script.entries)
          expect(ids(yield* model.endedBefore(AT_MS + 300, 10, "all"))).toEqual(["b", "c"])
          expect(ids(yield* model.endedBefore(AT_MS + 301, 2, "withOutput"))).toEqual(["b", "c"])
          script.add(tombstoneOf(a.state, AT_MS + 900))
          yield* model.apply(script.entries)
          expect(yield* model.get("a")).toBeNull()
          expect(ids(yield* model.endedBefore(AT_MS + 1_000, 10, "all"))).toEqual(["b", "c"])
          expect(yield* model.tombstonesBefore(AT_MS + 900, 10)).toEqual([])
          expect(yield* model.tombstonesBefore(AT_MS + 901, 10)).toEqual(["a"])
          script.add(submitted({ id: "a" }))
          yield* model.apply(script.entries)
          expect(yield* model.tombstonesBefore(AT_MS + 901, 10)).toEqual([])
        }),
      ),
    )
  })
}
