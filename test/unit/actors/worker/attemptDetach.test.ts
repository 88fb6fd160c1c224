/** When a worker goes in the middle of an attempt: what is left to a successor, and what waits again? */
import { describe, expect, it } from "vitest"
import { settle } from "../../../support/clock.ts"
import { fakeExecutor } from "../../../support/fakeExecutor.ts"
import { factsOf, workerRigs } from "../../../support/workerRig.ts"

const rigged = workerRigs()

describe("when the worker lets go (AT6)", () => {
  it("a program that runs is left to a successor: its place stays, its task runs", async () => {
    const rig = await rigged()
    await rig.start("t1")
    await (await rig.executor.run1("t1")).print("kept\n")
    await rig.run(rig.worker.detach)
    expect(rig.worker.heldCount()).toBe(0)
    expect(rig.executor.calls).toContain("detach t1")
    expect(rig.executor.containers.has("c-t1-1")).toBe(true)
    expect(await rig.state("t1")).toMatchObject({ status: "running", holder: { worker: "w1" } })
    expect(await factsOf(rig)).toContain("output")
  })

  it("while the place is being made: the task waits again, nothing counted, nothing left", async () => {
    const rig = await rigged()
    await rig.startHeldAt("create")
    await rig.run(rig.worker.detach)
    const state = await rig.state("t1")
    expect(state).toMatchObject({ status: "pending", phase: "queued", attempt: 1, workerDeaths: 0 })
    expect(rig.executor.containers.size).toBe(0)
  })

  it("while the place is being recorded: it is recorded, not run, and left to a successor", async () => {
    const rig = await rigged()
    await rig.startHeldAt("create")
    rig.fail("append", { type: "refused", times: 1 })
    rig.executor.letGo("create")
    await settle()
    await rig.detachInTime()
    expect(rig.executor.calls).not.toContain("run t1")
    expect(await rig.state("t1")).toMatchObject({ status: "running", holder: { containerId: "c-t1-1" } })
    expect(rig.executor.containers.size).toBe(1)
  })

  it("while artifacts are collected: a successor will", async () => {
    const rig = await rigged()
    await rig.startHeldAtCollect()
    await rig.run(rig.worker.detach)
    expect(await rig.state("t1")).toMatchObject({ status: "running", phase: "collecting" })
    expect(rig.executor.containers.has("c-t1-1")).toBe(true)
  })

  it("while it ends: the end is recorded first", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    rig.fail("append", { type: "refused", times: 2 })
    program.exit()
    await settle()
    await rig.detachInTime()
    expect((await rig.state("t1")).status).toBe("completed")
    await rig.untilIdle()
  })

  it("what has no place to be found again, such as a handler, waits again at once", async () => {
    const rig = await rigged({ executor: fakeExecutor({ keepsPlaces: false }) })
    await rig.start("t1")
    await rig.executor.run1("t1")
    await rig.run(rig.worker.detach)
    expect(await rig.state("t1")).toMatchObject({ status: "pending", phase: "queued", workerDeaths: 0, attempt: 1 })
  })

  it("a store that is away keeps a stopping worker for a bounded time", async () => {
    const rig = await rigged()
    await rig.start("t1")
    await (await rig.executor.run1("t1")).print("x")
    rig.fail("appendOutput", { type: "refused", times: 1_000_000 })
    const letGo = rig.run(rig.worker.detach)
    await rig.manual.advance(10_000)
    await letGo
    expect(rig.worker.heldCount()).toBe(1)
  })
})

describe("when the worker has lost its lease (AT7)", () => {
  const abandoned = async (rig: Awaited<ReturnType<typeof rigged>>) => {
    const gone = rig.run(rig.worker.abandon)
    await rig.manual.advance(5_000)
    await gone
  }

  it("a program that runs is forgotten and its place removed; nothing is written", async () => {
    const rig = await rigged()
    await rig.start("t1")
    await rig.executor.run1("t1")
    const before = await factsOf(rig)
    await abandoned(rig)
    expect([rig.worker.heldCount(), rig.executor.containers.size]).toEqual([0, 0])
    expect(await factsOf(rig)).toEqual(before)
  })

  it("a place that a successor has adopted is left to it", async () => {
    const rig = await rigged()
    await rig.start("t1")
    await rig.executor.run1("t1")
    const adopt = { type: "adopt", epoch: 1, worker: "w2", containerId: "c-t1-1", overdueMs: 1, nowMs: 1 } as const
    await rig.run(rig.turns.turn("t1", adopt))
    await abandoned(rig)
    expect([...rig.executor.containers.keys()]).toEqual(["c-t1-1"])
  })

  it("a place that is just being made is removed as well", async () => {
    const rig = await rigged()
    rig.executor.hold("create")
    await rig.start("t1")
    await rig.executor.untilCalled("create t1")
    await abandoned(rig)
    expect(rig.executor.calls).toContain("remove t1")
    expect(rig.executor.calls).not.toContain("run t1")
  })
})
