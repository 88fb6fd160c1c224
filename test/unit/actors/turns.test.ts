/** Does a turn write once what it decided, whatever others do at the same moment and whatever the store answers? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { RecentStates } from "../../../actors/recentStates.ts"
import type { TaskMessage } from "../../../core/task/messages.ts"
import type { TaskState } from "../../../core/task/state.ts"
import { berthError } from "../../../core/errors.ts"
import { workerSubject } from "../../../core/ports/signals.ts"
import { stateSubject } from "../../../core/record.ts"
import { makeRig, type Rig } from "../../support/actorRig.ts"
import { codeOf } from "../../support/code.ts"
import { attemptResult } from "../../support/fakeProgram.ts"
import { AT_MS, submitted, updated } from "../../support/task.ts"
import { until } from "../../support/until.ts"

const start = (worker: string, epoch = 1): TaskMessage => ({
  type: "start",
  epoch,
  worker,
  engineId: null,
  admission: 1,
  overdueMs: 1,
  nowMs: AT_MS,
})
const label = (n: number): TaskMessage => ({ type: "update", labels: { [`n${n}`]: "x" }, nowMs: AT_MS })
const records = async (rig: Rig): Promise<number> => (await rig.run(rig.store.log.readTask("t1", 0, 200))).length

describe("when several write at once", () => {
  it("TU2: a turn that loses the version decides again on the new state", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    const turns = Array.from({ length: 12 }, (_, n) => rig.turns.turn("t1", label(n)))
    const turned = await rig.run(Effect.all(turns, { concurrency: "unbounded" }))
    expect(new Set(turned.map(({ seq }) => seq)).size).toBe(12)
    expect(await records(rig)).toBe(13)
  })

  it("TU2: conflicts without end are given up, with an error that may be tried again", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    rig.fail("append", { type: "refused", times: 1_000, error: berthError("VERSION_CONFLICT", "always") })
    expect(await rig.run(codeOf(rig.turns.turn("t1", label(1))))).toBe("VERSION_CONFLICT")
    expect(await records(rig)).toBe(1)
  })

  it("I2: of two workers that start the same attempt one does", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    const codes = await rig.run(
      Effect.all(
        ["w1", "w2", "w3"].map((worker) => codeOf(rig.turns.turn("t1", start(worker)))),
        { concurrency: "unbounded" },
      ),
    )
    expect(codes.toSorted()).toEqual(["WRONG_STATE", "WRONG_STATE", "none"])
    expect((await rig.state("t1")).epoch).toBe(1)
  })

  it("I3: a holder that was replaced writes nothing more", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    await rig.run(rig.turns.turn("t1", start("w1")))
    const adopt = { type: "adopt", epoch: 1, worker: "w2", containerId: "c", overdueMs: 1, nowMs: AT_MS } as const
    await rig.run(rig.turns.turn("t1", adopt))
    const stale: readonly TaskMessage[] = [
      { type: "phase", epoch: 1, phase: "collecting", nowMs: AT_MS },
      { type: "place", epoch: 1, containerId: "c9", imageDigest: null, policy: null, nowMs: AT_MS },
      { type: "exit", epoch: 1, result: attemptResult({ epoch: 1 }), nowMs: AT_MS, jitter01: 0 },
      { type: "lose", epoch: 1, cause: "worker", message: "", overlapPossible: false, nowMs: AT_MS, jitter01: 0 },
      adopt,
    ]
    for (const message of stale) expect(await rig.run(codeOf(rig.turns.turn("t1", message)))).toBe("WRONG_STATE")
    expect((await rig.state("t1")).holder).toMatchObject({ worker: "w2", epoch: 2 })
  })
})

describe("when the store does not answer", () => {
  it("TU3: an append whose reply was lost is recognised as one's own, and written once", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    rig.fail("append", { type: "replyLost", times: 1 })
    const turned = await rig.run(rig.turns.turn("t1", start("w1")))
    expect(turned).toMatchObject({ changed: true, state: { status: "running", epoch: 1 } })
    expect(await records(rig)).toBe(2)
  })

  it("TU3: also when somebody else has written after it", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    const another = Effect.suspend(() => Effect.promise(() => rig.state("t1"))).pipe(
      Effect.flatMap((state) => rig.store.log.append(stateSubject("t1"), 2, updated(state, { by: "another" }))),
    )
    rig.fail("append", { type: "replyLost", times: 1, meanwhile: another })
    const turned = await rig.run(rig.turns.turn("t1", start("w1")))
    expect(turned).toMatchObject({ seq: 2, changed: true })
    expect((await rig.state("t1")).spec.labels).toEqual({ by: "another" })
    expect(await records(rig)).toBe(3)
  })

  it("TU3: an append that did not happen is no success", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    rig.fail("append")
    expect(await rig.run(codeOf(rig.turns.turn("t1", start("w1"))))).toBe("STORE_UNAVAILABLE")
    expect((await rig.state("t1")).status).toBe("pending")
  })

  it("TU3: a conflict that hides one's own lost append is no conflict", async () => {
    const rig = makeRig()
    const record = submitted({ id: "t1" })
    const fact = record.facts[0]
    if (fact === undefined) throw new Error("no fact")
    rig.fail("append", { type: "replyLost", times: 1 })
    expect(await rig.run(rig.turns.begin(record.state, fact))).toMatchObject({ seq: 1 })
    expect(await rig.run(codeOf(rig.turns.begin(record.state, fact)))).toBe("VERSION_CONFLICT")
  })
})

describe("when this process saw the task before", () => {
  /** As another process would, without this one's knowledge. */
  const byAnother = async (rig: Rig, more: Partial<TaskState>): Promise<number> => {
    const state = await rig.state("t1")
    return rig.append({ ...updated(state, {}), state: { ...state, ...more } })
  }
  const lose = { type: "lose", epoch: 1, cause: "worker", message: "", overlapPossible: false } as const

  it("TU5: the log is not asked again for what was written here", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    await rig.run(rig.turns.turn("t1", start("w1")))
    rig.fail("last", { type: "refused", times: 1_000 })
    expect(await rig.run(rig.turns.turn("t1", label(1)))).toMatchObject({ changed: true, seq: 3 })
    expect(rig.turns.recent("t1")).toMatchObject({ seq: 3, state: { spec: { labels: { n1: "x" } } } })
  })

  it("TU5: what another process wrote meanwhile is read before anything is written on it", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    await rig.run(rig.turns.turn("t1", start("w1")))
    const { spec } = await rig.state("t1")
    await byAnother(rig, { spec: { ...spec, lane: "low" } })
    const turned = await rig.run(rig.turns.turn("t1", label(1)))
    expect(turned.state.spec).toMatchObject({ lane: "low", labels: { n1: "x" } })
  })

  it("TU5: a wish is not refused for what is no longer so", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    await rig.run(rig.turns.turn("t1", start("w1")))
    const { holder } = await rig.state("t1")
    if (holder === null) throw new Error("nobody holds it")
    await byAnother(rig, { epoch: 2, holder: { ...holder, epoch: 2, worker: "w2" } })
    const message = { ...lose, epoch: 2, nowMs: AT_MS, jitter01: 0 }
    expect(await rig.run(rig.turns.turn("t1", message))).toMatchObject({ changed: true })
  })

  it("TU5: an append of which nobody knows whether it happened leaves nothing to build on", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    await rig.run(rig.turns.turn("t1", start("w1")))
    rig.fail("append", { type: "refused", times: 2 })
    expect(await rig.run(codeOf(rig.turns.turn("t1", label(1))))).toBe("STORE_UNAVAILABLE")
    expect(rig.turns.recent("t1")).toBeNull()
  })

  it("of tasks at rest nothing is kept, and of the others not more than some", async () => {
    const record = submitted({ id: "t1" })
    const seen = new RecentStates()
    seen.note({ state: record.state, seq: 7 })
    seen.note({ state: record.state, seq: 3 })
    expect(seen.get("t1")?.seq).toBe(7)
    seen.note({ state: { ...record.state, status: "completed" }, seq: 8 })
    expect(seen.get("t1")).toBeNull()
    for (let n = 0; n < 2_001; n += 1) seen.note({ state: { ...record.state, id: `n${n}` }, seq: n })
    expect([seen.get("n0"), seen.get("n1")?.seq, seen.get("n2000")?.seq]).toEqual([null, 1, 2_000])
  })
})

describe("what does a turn answer and perform?", () => {
  it("a task that is not there, or of which a tombstone is left, is not found", async () => {
    const rig = makeRig()
    expect(await rig.run(codeOf(rig.turns.turn("t9", label(1))))).toBe("NOT_FOUND")
    expect(await rig.run(codeOf(rig.turns.load("t9")))).toBe("NOT_FOUND")
  })

  it("a second wish to stop changes nothing, a stronger one does; each reaches the worker after it is durable (TU1)", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    await rig.run(rig.turns.turn("t1", start("w1")))
    const heard: unknown[] = []
    const cancel = (mode: "cancel" | "kill"): TaskMessage => ({ type: "cancel", mode, by: "ann", nowMs: AT_MS })
    await rig.run(
      Effect.scoped(
        Effect.gen(function* () {
          yield* rig.signals.subscribe(workerSubject("w1"), (payload) => heard.push(payload))
          expect(yield* rig.turns.turn("t1", cancel("cancel"))).toMatchObject({ changed: true })
          expect(yield* rig.turns.turn("t1", cancel("cancel"))).toMatchObject({ changed: false })
          expect(yield* rig.turns.turn("t1", cancel("kill"))).toMatchObject({ changed: true })
          expect(yield* rig.turns.turn("t1", cancel("cancel"))).toMatchObject({ changed: false })
          yield* Effect.promise(() => until(() => heard.length === 2))
        }),
      ),
    )
    expect(heard).toMatchObject([{ mode: "cancel" }, { mode: "kill" }])
    expect(await records(rig)).toBe(4)
  })

  it("TU4: a signal that cannot be sent does not fail the turn", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    await rig.run(rig.turns.turn("t1", start("w1")))
    const turned = await rig.run(rig.turns.turn("t1", { type: "cancel", mode: "cancel", by: "ann", nowMs: AT_MS }))
    expect(turned.state.stop).toMatchObject({ mode: "cancel" })
  })
})
