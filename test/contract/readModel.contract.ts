import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { type LogEntry, type LogRecord } from "../../core/record.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import { codeOf } from "../support/code.ts"
import { everything, ids, type ReadModelTraits, Script, useModel } from "../support/modelUnderTest.ts"
import { admitted, AT_MS, ended, printed, retried, started, submitted, tombstoneOf, purged } from "../support/task.ts"
import { listGuarantees } from "./readModelList.contract.ts"

/** Every guarantee of the read model, put to one adapter; those of `list` are in the file beside. */
export const readModelContract = (traits: ReadModelTraits): void => {
  describe(`ReadModel contract: ${traits.name}`, () => {
    const use = useModel(traits)

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
      "RM2 what was removed from the log is told on control: output of tasks at rest, and tombstones",
      use((model) =>
        Effect.gen(function* () {
          const script = new Script()
          const [a, b, c] = ["a", "b", "c"].map((id) => script.add(submitted({ id })))
          const ends = [a, b].map((record) => script.add(ended(script.add(started(record!.state)).state)))
          script.add(tombstoneOf(ends[1]!.state))
          yield* model.apply(script.entries)
          const withOutput = () => Effect.map(model.endedBefore(Number.MAX_SAFE_INTEGER, 10, "withOutput"), ids)
          expect(yield* withOutput()).toEqual(["a"])
          expect(yield* model.tombstonesBefore(Number.MAX_SAFE_INTEGER, 10)).toEqual(["b"])
          script.add(purged(["a", "c", "unknown"], ["b", "unknown"]))
          yield* model.apply(script.entries)
          expect(yield* withOutput()).toEqual([])
          expect((yield* model.get("a"))?.outputPurged).toBe(true)
          expect((yield* model.get("c"))?.state).toEqual(c!.state)
          expect((yield* model.get("c"))?.outputPurged).toBe(false)
          expect(yield* model.tombstonesBefore(Number.MAX_SAFE_INTEGER, 10)).toEqual([])
          // Who runs again prints again.
          script.add(started(ends[0]!.state))
          yield* model.apply(script.entries)
          expect((yield* model.get("a"))?.outputPurged).toBe(false)
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

    listGuarantees(use)

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
