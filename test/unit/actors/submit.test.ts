/** Is a submit that is sent twice one task, and is a task never more or less than what was sent? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { Principal } from "../../../actors/api.ts"
import { keyedId, makeSubmit, type SubmitDeps } from "../../../actors/submit.ts"
import { resolveConfig } from "../../../core/config.ts"
import { berthError } from "../../../core/errors.ts"
import { LIMITS } from "../../../core/limits.ts"
import type { SubmitRequest } from "../../../core/task/request.ts"
import type { Rig } from "../../support/actorRig.ts"
import { codeOf } from "../../support/code.ts"
import { ANN, BOB, hashOf, keyed, rigged } from "../../support/submitRig.ts"
import { tombstoneOf } from "../../support/task.ts"

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

  it.each<[string, Partial<SubmitRequest>, Principal, Partial<SubmitDeps>]>([
    ["its latest start has passed meanwhile", { startByMs: 1_750_000_000_010 }, ANN, {}],
    ["its handler is gone", {}, ANN, { handlers: [] }],
    ["the limits are lower now", { timeoutMs: 5_000 }, ANN, { config: resolveConfig({ timeoutMsMax: 1_000 }) }],
    ["the token allows less by now", { lane: "high" }, { ...ANN, laneMax: "low" }, {}],
  ])("is not judged anew although %s; a new one is", async (_, more, who, deps) => {
    const rig = rigged()
    const { task } = await rig.run(rig.send(ANN, keyed(more)))
    await rig.manual.advance(20)
    const submit = makeSubmit({ ...rig, handlers: null, onSubmitted: () => {}, ...deps })
    const again = (request: SubmitRequest) => submit(who, request, hashOf(request))
    expect(await rig.run(again(keyed(more)))).toMatchObject({ duplicate: true, task: { id: task.id } })
    expect(await rig.run(codeOf(again(keyed({ ...more, input: 2 }))))).toBe("IDEMPOTENCY_MISMATCH")
    const refused = await rig.run(codeOf(again(keyed({ ...more, idempotencyKey: "k2" }))))
    expect(["INVALID_PARAMS", "HANDLER_UNKNOWN", "FORBIDDEN"]).toContain(refused)
    expect(await tasksOf(rig, "ann")).toBe(1)
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
