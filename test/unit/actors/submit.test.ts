/** Is a submit that is sent twice one task, and is a task never more or less than what was sent? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { Principal } from "../../../actors/api.ts"
import { keyedId, makeSubmit } from "../../../actors/submit.ts"
import { berthError, type BerthError } from "../../../core/errors.ts"
import { LIMITS } from "../../../core/limits.ts"
import type { SubmitRequest } from "../../../core/task/request.ts"
import { makeRig, type Rig, type RigOptions } from "../../support/actorRig.ts"
import { codeOf } from "../../support/code.ts"
import { tombstoneOf } from "../../support/task.ts"

const ANN: Principal = { owner: "ann", role: "user", laneMax: "urgent" }
const BOB: Principal = { ...ANN, owner: "bob" }
const keyed = (more: Partial<SubmitRequest> = {}): SubmitRequest => ({
  handler: "noop",
  input: 1,
  idempotencyKey: "k1",
  ...more,
})
const hashOf = (request: SubmitRequest): string => JSON.stringify(request)

const rigged = (options: RigOptions = {}) => {
  const rig = makeRig(options)
  let submittedCount = 0
  const submit = makeSubmit({ ...rig, handlers: null, onSubmitted: () => void (submittedCount += 1) })
  return {
    ...rig,
    send: (who: Principal, request: SubmitRequest) => submit(who, request, hashOf(request)),
    count: () => submittedCount,
  }
}
const tasksOf = async (rig: Rig, owner: string): Promise<number> =>
  (await rig.run(rig.readModel.counts(owner))).byStatus.pending

describe("the same key again", () => {
  it("is the same task, also after it has moved on, and says so", async () => {
    const rig = rigged()
    const first = await rig.run(rig.send(ANN, keyed()))
    await rig.run(rig.turns.turn(first.task.id, { type: "update", labels: { a: "b" }, nowMs: 1 }))
    const second = await rig.run(rig.send(ANN, keyed()))
    expect([first.duplicate, second.duplicate]).toEqual([false, true])
    expect(second.task).toMatchObject({ id: first.task.id, labels: { a: "b" } })
    expect([await tasksOf(rig, "ann"), rig.count()]).toEqual([1, 1])
  })

  it("with another request is refused, and changes nothing of the first task, not even its program", async () => {
    const rig = rigged()
    const { task } = await rig.run(rig.send(ANN, keyed()))
    expect(await rig.run(codeOf(rig.send(ANN, keyed({ input: 2 }))))).toBe("IDEMPOTENCY_MISMATCH")
    expect(await rig.run(rig.programs.load(task.id))).toMatchObject({ input: 1 })
  })

  it("of another owner is another task", async () => {
    const rig = rigged()
    const one = await rig.run(rig.send(ANN, keyed()))
    const other = await rig.run(rig.send(BOB, keyed({ input: 2 })))
    expect(other.duplicate).toBe(false)
    expect(other.task.id).not.toBe(one.task.id)
    expect(keyedId("a", "bc")).not.toBe(keyedId("ab", "c"))
  })

  it("fifty at once are one task", async () => {
    const rig = rigged()
    const all = Array.from({ length: 50 }, () => rig.send(ANN, keyed()))
    const answers = await rig.run(Effect.all(all, { concurrency: "unbounded" }))
    expect(new Set(answers.map(({ task }) => task.id)).size).toBe(1)
    expect(answers.filter(({ duplicate }) => !duplicate).length).toBe(1)
    expect([await tasksOf(rig, "ann"), rig.count()]).toEqual([1, 1])
  })

  it.each([
    ["small", 1],
    ["large", LIMITS.programInlineBytesMax],
  ])("fifty different %s requests at once are one task with exactly the winner's program", async (_, bytes) => {
    const rig = rigged()
    const requests = Array.from({ length: 50 }, (_, n) => keyed({ input: `${n}`.padEnd(bytes + 2, "x") }))
    const codes = await rig.run(
      Effect.all(
        requests.map((request) => codeOf(rig.send(ANN, request))),
        { concurrency: "unbounded" },
      ),
    )
    expect(codes.filter((code) => code === "none").length).toBe(1)
    expect(codes.filter((code) => code === "IDEMPOTENCY_MISMATCH").length).toBe(49)
    const winner = requests[codes.indexOf("none")]
    // Once from what is at hand, once from the log.
    const id = keyedId("ann", "k1")
    expect(await rig.run(rig.programs.load(id))).toMatchObject({ input: winner?.input })
    expect(await rig.run(rig.programs.load(id))).toMatchObject({ input: winner?.input })
  })

  it("of a task that retention has taken away is recognised by its tombstone", async () => {
    const rig = rigged()
    const { task } = await rig.run(rig.send(ANN, keyed()))
    await rig.run(rig.turns.turn(task.id, { type: "cancel", mode: "cancel", by: "ann", nowMs: 1 }))
    const { seq, state } = await rig.run(rig.turns.load(task.id))
    await rig.run(rig.log.entomb(task.id, seq, tombstoneOf(state)))
    const again = await rig.run(rig.send(ANN, keyed()))
    expect(again).toMatchObject({ duplicate: true, task: { id: task.id, status: "cancelled", outputPurged: true } })
    expect(await rig.run(codeOf(rig.send(ANN, keyed({ input: 2 }))))).toBe("IDEMPOTENCY_MISMATCH")
  })
})

describe("what is durable when submit answers?", () => {
  it("I1: after a lost reply the task is there once, and the answer is its own", async () => {
    const rig = rigged()
    rig.fail("append", { type: "replyLost", times: 1 })
    const { duplicate, task } = await rig.run(rig.send(ANN, { handler: "noop" }))
    expect(duplicate).toBe(false)
    expect((await rig.state(task.id)).status).toBe("pending")
    expect(await tasksOf(rig, "ann")).toBe(1)
  })

  it("a refused append is an error, and no task", async () => {
    const rig = rigged()
    rig.fail("append")
    expect(await rig.run(codeOf(rig.send(ANN, { handler: "noop" })))).toBe("STORE_UNAVAILABLE")
    expect(await tasksOf(rig, "ann")).toBe(0)
    expect(rig.count()).toBe(0)
  })

  it("a program over the inline limit is a blob before its task is there, one at the limit is not", async () => {
    const rig = rigged()
    const overhead = JSON.stringify({ kind: "handler", handler: "noop", input: "" }).length
    const at = "x".repeat(LIMITS.programInlineBytesMax - overhead)
    const inline = await rig.run(rig.send(ANN, { handler: "noop", input: at }))
    expect(await rig.run(rig.blobs.list(`${inline.task.id}/`))).toEqual([])
    const large = await rig.run(rig.send(ANN, { handler: "noop", input: `${at}x` }))
    expect((await rig.run(rig.blobs.list(`${large.task.id}/`))).length).toBe(1)
    expect(await rig.run(rig.programs.load(large.task.id))).toMatchObject({ input: `${at}x` })
  })

  it("a program whose blob is gone is said to be missing, not run empty", async () => {
    const rig = rigged()
    const { task } = await rig.run(rig.send(ANN, { handler: "noop", input: "x".repeat(LIMITS.programInlineBytesMax) }))
    await rig.run(rig.blobs.removePrefix(`${task.id}/`))
    expect(await rig.run(codeOf(rig.programs.load(task.id)))).toBe("STORE_CORRUPT")
    expect(await rig.run(codeOf(rig.programs.load("nobody")))).toBe("STORE_CORRUPT")
  })
})

describe("what becomes of a large program whose task did not come to be?", () => {
  const LARGE = "x".repeat(LIMITS.programInlineBytesMax)
  const large = (more: Partial<SubmitRequest> = {}): SubmitRequest => ({ handler: "noop", input: LARGE, ...more })
  /** A rig whose ids are known, and with them what is kept of programs. */
  const watched = () => {
    const rig = rigged()
    const made: string[] = []
    const { id } = rig.random
    Object.assign(rig.random, {
      id: () => {
        made.push(id())
        return made.at(-1)
      },
    })
    const kept = async () => (await Promise.all(made.map((each) => rig.run(rig.blobs.list(each))))).flat()
    return { ...rig, made, kept }
  }
  const full = berthError("STORAGE_FULL", "injected")

  it("it goes when the log has surely not taken the task", async () => {
    const rig = watched()
    rig.fail("append", { type: "refused", times: 1, error: full })
    expect(await rig.run(codeOf(rig.send(ANN, large())))).toBe("STORAGE_FULL")
    expect(rig.made.length).toBeGreaterThan(0)
    expect(await rig.kept()).toEqual([])
  })

  it("it stays when nobody knows, for the task may come to be", async () => {
    const rig = watched()
    rig.fail("append", { type: "refused", times: 1 })
    expect(await rig.run(codeOf(rig.send(ANN, large())))).toBe("STORE_UNAVAILABLE")
    expect(await rig.kept()).toHaveLength(1)
  })

  it("under a key: another request's goes, the same request's stays, whoever came first", async () => {
    const rig = watched()
    const other = large({ idempotencyKey: "k1", input: `${LARGE}other` })
    const same = large({ idempotencyKey: "k1" })
    // Somebody else's submit of this key comes between the look at the log and the append.
    const before = (meanwhile: SubmitRequest) =>
      rig.fail("append", { type: "before", times: 1, meanwhile: Effect.suspend(() => rig.send(ANN, meanwhile)) })
    before(same)
    expect(await rig.run(codeOf(rig.send(ANN, other)))).toBe("IDEMPOTENCY_MISMATCH")
    const id = keyedId("ann", "k1")
    expect(await rig.run(rig.blobs.list(id))).toHaveLength(1)
    expect(await rig.run(rig.programs.load(id))).toMatchObject({ input: LARGE })

    const again = watched()
    again.fail("append", { type: "before", times: 1, meanwhile: Effect.suspend(() => again.send(ANN, same)) })
    expect((await again.run(again.send(ANN, same))).duplicate).toBe(true)
    expect(await again.run(again.blobs.list(id))).toHaveLength(1)
    expect(await again.run(again.programs.load(id))).toMatchObject({ input: LARGE })
  })

  it("under a key that nobody has it stays: the same request comes again, or is on its way", async () => {
    const rig = watched()
    rig.fail("append", { type: "refused", times: 1, error: full })
    expect(await rig.run(codeOf(rig.send(ANN, large({ idempotencyKey: "k1" }))))).toBe("STORAGE_FULL")
    expect(await rig.run(rig.blobs.list(keyedId("ann", "k1")))).toHaveLength(1)
  })
})

describe("how many tasks may an owner have waiting?", () => {
  it("as many as the limit; one more is refused, other owners are not, and an ended one makes room", async () => {
    const rig = rigged({ config: { ownerPendingMax: 3 } })
    const ids: string[] = []
    for (let n = 0; n < 3; n += 1) ids.push((await rig.run(rig.send(ANN, { handler: "noop" }))).task.id)
    expect(await rig.run(codeOf(rig.send(ANN, { handler: "noop" })))).toBe("OVERLOADED")
    expect(await rig.run(codeOf(rig.send(BOB, { handler: "noop" })))).toBe("none")
    await rig.run(rig.turns.turn(ids[0] ?? "", { type: "cancel", mode: "cancel", by: "ann", nowMs: 1 }))
    // A count is believed for a second.
    await rig.manual.advance(1_001)
    expect(await rig.run(codeOf(rig.send(ANN, { handler: "noop" })))).toBe("none")
  })

  it("many at once are counted by one, and not more of them get in than there is room for", async () => {
    const rig = rigged({ config: { ownerPendingMax: 3 } })
    let asked = 0
    const counts: typeof rig.readModel.counts = (owner) =>
      Effect.suspend(() => {
        asked += 1
        return Effect.delay(rig.readModel.counts(owner), 1)
      })
    const submit = makeSubmit({
      ...rig,
      readModel: { ...rig.readModel, counts },
      handlers: null,
      onSubmitted: () => {},
    })
    const burst = (): Promise<readonly string[]> =>
      rig.run(
        Effect.forEach([1, 2, 3, 4, 5], (n) => codeOf(submit(ANN, { handler: "noop", input: n }, String(n))), {
          concurrency: "unbounded",
        }),
      )
    expect((await burst()).filter((code) => code === "OVERLOADED")).toHaveLength(2)
    expect(asked).toBe(1)
    await rig.manual.advance(1_001)
    expect(new Set(await burst())).toEqual(new Set(["OVERLOADED"]))
    expect(asked).toBe(2)
  })

  it("nobody is refused on an old count, and nobody let in before there is one", async () => {
    const rig = rigged({ config: { ownerPendingMax: 3 } })
    const ids: string[] = []
    for (let n = 0; n < 3; n += 1) ids.push((await rig.run(rig.send(ANN, { handler: "noop" }))).task.id)
    const counts: typeof rig.readModel.counts = (owner) => Effect.delay(rig.readModel.counts(owner), 1)
    const anew = () =>
      makeSubmit({ ...rig, readModel: { ...rig.readModel, counts }, handlers: null, onSubmitted: () => {} })
    const burst = (submit: ReturnType<typeof anew>): Promise<readonly string[]> =>
      rig.run(
        Effect.forEach([1, 2, 3], (n) => codeOf(submit(ANN, { handler: "noop", input: n }, String(n))), {
          concurrency: "unbounded",
        }),
      )
    const submit = anew()
    expect(await burst(submit)).toEqual(["OVERLOADED", "OVERLOADED", "OVERLOADED"])
    for (const id of ids) await rig.run(rig.turns.turn(id, { type: "cancel", mode: "cancel", by: "ann", nowMs: 1 }))
    await rig.manual.advance(3_600_000)
    expect(await burst(submit)).toEqual(["none", "none", "none"])
    // Another process, which has counted nobody yet.
    expect(await burst(anew())).toEqual(["OVERLOADED", "OVERLOADED", "OVERLOADED"])
  })

  it("a count that failed is made again by whoever comes next", async () => {
    const rig = rigged({ config: { ownerPendingMax: 1 } })
    await rig.run(rig.send(BOB, { handler: "noop" }))
    let answer: Effect.Effect<never, BerthError> | null = Effect.fail(berthError("STORE_UNAVAILABLE", "injected"))
    const counts: typeof rig.readModel.counts = (owner) => answer ?? rig.readModel.counts(owner)
    const submit = makeSubmit({
      ...rig,
      readModel: { ...rig.readModel, counts },
      handlers: null,
      onSubmitted: () => {},
    })
    expect(await rig.run(codeOf(submit(BOB, { handler: "noop" }, "1")))).toBe("STORE_UNAVAILABLE")
    answer = null
    expect(await rig.run(codeOf(submit(BOB, { handler: "noop" }, "2")))).toBe("OVERLOADED")
  })

  it("the same request again is answered by a full store, a new one is refused", async () => {
    const rig = rigged()
    const { task } = await rig.run(rig.send(ANN, keyed()))
    rig.fail("append", { type: "refused", times: 2, error: berthError("STORAGE_FULL", "injected") })
    expect(await rig.run(rig.send(ANN, keyed()))).toMatchObject({ duplicate: true, task: { id: task.id } })
    expect(await rig.run(codeOf(rig.send(ANN, keyed({ idempotencyKey: "k2" }))))).toBe("STORAGE_FULL")
  })

  it("a repeat takes no room from others", async () => {
    const rig = rigged({ config: { ownerPendingMax: 2 } })
    await rig.run(rig.send(ANN, keyed()))
    await rig.run(rig.send(ANN, keyed()))
    expect(await rig.run(rig.send(ANN, keyed({ idempotencyKey: "k2" })))).toMatchObject({ duplicate: false })
  })

  it("the same request again is answered also at the limit", async () => {
    const rig = rigged({ config: { ownerPendingMax: 1 } })
    await rig.run(rig.send(ANN, keyed()))
    expect(await rig.run(rig.send(ANN, keyed()))).toMatchObject({ duplicate: true })
  })
})
