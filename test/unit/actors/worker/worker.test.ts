/** Does a worker start what it is told, no more than it may, and is every task in somebody's hands whatever fails? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { settle } from "../../../support/clock.ts"
import { fakeExecutor } from "../../../support/fakeExecutor.ts"
import { AT_MS } from "../../../support/task.ts"
import { until } from "../../../support/until.ts"
import { workerRigs } from "../../../support/workerRig.ts"

const rigged = workerRigs()
const ids = (count: number): readonly string[] => Array.from({ length: count }, (_, n) => `t${n}`)

describe("how many attempts at once (WO2)?", () => {
  it("never more than slots, and all in the end", async () => {
    const rig = await rigged({ slots: 3, executor: fakeExecutor({ autoExit: true }) })
    for (const id of ids(20)) await rig.start(id)
    for (const id of ids(20)) await rig.untilRest(id)
    await rig.untilIdle()
    expect(rig.executor.widest()).toBeLessThanOrEqual(3)
  })

  it("a full worker pulls nothing; one free slot pulls one", async () => {
    const rig = await rigged({ slots: 2 })
    for (const id of ids(4)) await rig.start(id)
    const first = await rig.executor.run1("t0")
    await rig.executor.run1("t1")
    await settle()
    expect([rig.worker.heldCount(), await rig.waiting()]).toEqual([2, 2])
    first.exit()
    await rig.executor.run1("t2")
    await settle()
    expect([rig.worker.heldCount(), await rig.waiting()]).toEqual([2, 1])
  })

  it("an adopted attempt comes on top of the slots, and is waited for", async () => {
    const rig = await rigged({ slots: 1 })
    await rig.start("t0")
    const own = await rig.executor.run1("t0")
    await rig.submit({ id: "t1", spec: { kind: "image" } })
    const start = {
      type: "start",
      epoch: 1,
      worker: "w0",
      engineId: null,
      admission: 1,
      overdueMs: 1,
      nowMs: AT_MS,
    } as const
    await rig.run(rig.turns.turn("t1", start))
    const adopt = { type: "adopt", epoch: 1, worker: "w1", containerId: "c-t1-1", overdueMs: 1, nowMs: AT_MS } as const
    const { state } = await rig.run(rig.turns.turn("t1", adopt))
    rig.executor.containers.set("c-t1-1", { containerId: "c-t1-1", worker: "w0", taskId: null, running: true })
    const place = { containerId: "c-t1-1", imageDigest: null, policy: null }
    await rig.run(rig.worker.adopt(state, place, { stdout: 7, stderr: 0 }))
    const adopted = await rig.executor.run1("t1")
    expect([adopted.adopted, adopted.offsets.stdout, rig.worker.heldCount()]).toEqual([true, 7, 2])
    own.exit()
    adopted.exit()
    expect(await rig.untilRest("t1")).toMatchObject({ status: "completed", epoch: 2 })
    await rig.untilIdle()
    // The extra slot is gone again: one task at a time.
    await rig.start("t2")
    await rig.start("t3")
    await rig.executor.run1("t2")
    await settle()
    expect(rig.worker.heldCount()).toBe(1)
  })
})

describe("what becomes of a wake-up (WO1)?", () => {
  it("a second one of a task in our hands is acked and starts nothing", async () => {
    const rig = await rigged()
    await rig.start("t1")
    await rig.executor.run1("t1")
    await rig.wake("t1", 1)
    await until(() => rig.executor.calls.length > 0)
    await settle()
    expect(await rig.waiting()).toBe(0)
    expect(rig.executor.calls.filter((call) => call === "create t1").length).toBe(1)
  })

  it("a second one of a task that is just being started is not acked before the log names us", async () => {
    const rig = await rigged()
    await rig.submit({ id: "t1", spec: { kind: "image" } })
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => (open = resolve))
    rig.fail("last", { type: "before", times: 1, meanwhile: Effect.promise(() => gate) })
    const wakeUp = { pool: "default", lane: "normal", taskId: "t1", epoch: 1, admission: 1 } as const
    const acked: string[] = []
    const ack = Effect.promise(async () => void acked.push((await rig.state("t1")).status))
    let deliveries = 2
    const pull = () => (deliveries-- > 0 ? Effect.succeed([{ wakeUp, ack, nak: Effect.void }]) : Effect.never)
    const worker = await rig.makeOne("w2", 4, { ...rig.queue, pull })
    await rig.run(worker.begin)
    await settle()
    expect(acked).toEqual([])
    open()
    await rig.executor.run1("t1")
    await rig.manual.advance(1_000)
    await until(() => acked.length === 2, "both settled")
    expect(acked).toEqual(["running", "running"])
    expect((await rig.state("t1")).epoch).toBe(1)
  })

  it("one for another epoch, for a task that ended, or for none at all, is acked and starts nothing", async () => {
    const rig = await rigged()
    await rig.submit({ id: "t1", spec: { kind: "image" } })
    await rig.wake("t1", 5)
    await rig.submit({ id: "t2", spec: { kind: "image" } })
    await rig.run(rig.turns.turn("t2", { type: "cancel", mode: "cancel", by: "ann", nowMs: AT_MS }))
    await rig.wake("t2", 1)
    await rig.run(rig.queue.publish([{ pool: "default", lane: "low", taskId: "t9", epoch: 1, admission: 1 }]))
    await settle(100)
    await rig.manual.advance(60_000)
    expect(await rig.waiting()).toBe(0)
    expect(rig.executor.calls).toEqual([])
    expect(rig.worker.heldCount()).toBe(0)
  })

  it("it is not acked before `started` is durable: while the store refuses, it comes again", async () => {
    const rig = await rigged()
    rig.fail("append", { type: "refused", times: 2 })
    await rig.start("t1")
    await settle()
    expect(rig.executor.calls).toEqual([])
    await rig.manual.advance(3_000)
    await rig.executor.run1("t1")
    expect((await rig.state("t1")).epoch).toBe(1)
  })

  it("a backend that does not answer is given nothing, and the wake-up goes to another worker", async () => {
    const rig = await rigged({ others: [fakeExecutor({ kinds: ["handler"] })] })
    rig.executor.setAccepting(false)
    await rig.start("t1")
    await rig.manual.advance(5_000)
    expect(rig.executor.calls).toEqual([])
    expect((await rig.state("t1")).status).toBe("pending")
    rig.executor.setAccepting(true)
    await rig.manual.advance(2_000)
    await rig.executor.run1("t1")
  })

  it("with no backend that answers nothing is pulled", async () => {
    const rig = await rigged()
    rig.executor.setAccepting(false)
    await rig.manual.advance(2_000)
    await rig.start("t1")
    await rig.manual.advance(2_000)
    expect([await rig.waiting(), rig.worker.accepting()]).toEqual([1, false])
    rig.executor.setAccepting(true)
    await rig.manual.advance(2_000)
    await rig.executor.run1("t1")
  })

  it("of two workers that have the same wake-up one starts the task", async () => {
    const rig = await rigged()
    const other = await rig.makeOne("w2")
    await rig.run(other.begin)
    rig.executor.hold("create")
    await rig.start("t1")
    await rig.executor.untilCalled("create t1")
    // The first one's wake-up is acked; somebody publishes it anew.
    await rig.wake("t1", 1)
    await settle(100)
    expect(rig.executor.calls.filter((call) => call === "create t1").length).toBe(1)
    expect(rig.worker.heldCount() + other.heldCount()).toBe(1)
  })
})

describe("when it is not known whether `started` was written", () => {
  it.each([1, 3, 6])(
    "the task is in our hands if it was: reply lost, and the log silent for %i reads",
    async (reads) => {
      const rig = await rigged()
      await rig.submit({ id: "t1", spec: { kind: "image" } })
      rig.fail("append", {
        type: "replyLost",
        times: 1,
        meanwhile: Effect.sync(() => {
          rig.fail("after", { type: "refused", times: reads })
          rig.fail("last", { type: "refused", times: reads })
        }),
      })
      await rig.wake("t1")
      await rig.manual.advance(30_000)
      ;(await rig.executor.run1("t1")).exit()
      expect(await rig.untilRest("t1")).toMatchObject({ status: "completed", epoch: 1 })
      await rig.untilIdle()
      expect(await rig.waiting()).toBe(0)
    },
  )

  it("it is in our hands before its wake-up could reach another worker", async () => {
    const rig = await rigged()
    await rig.submit({ id: "t1", spec: { kind: "image" } })
    const silence = Effect.sync(() => rig.fail("after", { type: "refused", times: 1 }))
    rig.fail("append", { type: "replyLost", times: 1, meanwhile: silence })
    await rig.wake("t1")
    await rig.manual.advance(300)
    await rig.executor.run1("t1")
    expect(await rig.waiting()).toBe(0)
  })

  it("and if it was not, the wake-up is given back and the task starts later, once", async () => {
    const rig = await rigged()
    await rig.submit({ id: "t1", spec: { kind: "image" } })
    rig.fail("append", { type: "refused", times: 1 })
    rig.fail("after", { type: "refused", times: 1 })
    await rig.wake("t1")
    await rig.manual.advance(10_000)
    await rig.executor.run1("t1")
    expect(rig.executor.calls.filter((call) => call === "create t1").length).toBe(1)
  })

  it("a task of ours that nobody holds is taken up by its wake-up", async () => {
    const rig = await rigged()
    await rig.submit({ id: "t1", spec: { kind: "image" } })
    const start = {
      type: "start",
      epoch: 1,
      worker: "w1",
      engineId: null,
      admission: 1,
      overdueMs: 1,
      nowMs: AT_MS,
    } as const
    await rig.run(rig.turns.turn("t1", start))
    await rig.wake("t1", 1)
    ;(await rig.executor.run1("t1")).exit()
    expect(await rig.untilRest("t1")).toMatchObject({ status: "completed" })
  })

  it("a program that cannot be had ends its task and frees the slot", async () => {
    const rig = await rigged({ slots: 1 })
    const program = { blobKey: "t1/0/missing", sizeBytes: 1 }
    const record = await rig.submit({ id: "t0", spec: { kind: "image" } })
    const fact = record.facts[0]
    if (fact?.type !== "submitted") throw new Error("no first fact")
    await rig.run(rig.turns.begin({ ...record.state, id: "t1" }, { ...fact, id: "t1", program }))
    await rig.wake("t1")
    expect(await rig.untilRest("t1")).toMatchObject({ status: "failed", result: { reason: "refused" } })
    await rig.untilIdle()
    await rig.start("t2")
    await rig.executor.run1("t2")
  })
})
