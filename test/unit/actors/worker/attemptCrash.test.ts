/** An attempt with a defect of ours: what becomes of its task, of its place, and of the others. */
import { describe, expect, it } from "vitest"
import { berthError } from "../../../../core/errors.ts"
import type { TaskMessage } from "../../../../core/task/messages.ts"
import { type FakeStep } from "../../../support/fakeExecutor.ts"
import { AT_MS } from "../../../support/task.ts"
import { until } from "../../../support/until.ts"
import { workerRigs } from "../../../support/workerRig.ts"

const rigged = workerRigs()
const cancel: TaskMessage = { type: "cancel", mode: "cancel", by: "ann", nowMs: AT_MS }

describe("when a step of ours has a defect", () => {
  const LIVE: readonly FakeStep[] = ["create", "run", "collect", "stop"]
  it.each(LIVE)("in `%s`: the task is handed back to the log, and others go on (SU1, SU2)", async (step) => {
    const rig = await rigged()
    await rig.start("t2")
    const other = await rig.executor.run1("t2")
    rig.executor.crash(step)
    await rig.start("t1", { spec: { artifacts: true } })
    if (step === "stop" || step === "collect") {
      const program = await rig.executor.run1("t1")
      if (step === "stop") {
        await rig.run(rig.turns.turn("t1", cancel))
        await rig.executor.untilCalled("stop t1")
      }
      program.exit()
    }
    const settled = await rig.untilState("t1", ({ status }) => status !== "running", "settled")
    expect(["pending", "completed", "cancelled", "failed"]).toContain(settled.status)
    await until(() => !rig.worker.holds("t1"))
    expect(rig.worker.holds("t2")).toBe(true)
    other.exit()
    expect(await rig.untilRest("t2")).toMatchObject({ status: "completed" })
  })

  it("that keeps the end from being recorded: the attempt crashes, the task waits again, and its place is removed", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    rig.fail("append", { type: "refused", times: 1, error: berthError("STORE_CORRUPT", "damaged") })
    program.exit()
    await until(() => rig.crashes.length === 1)
    expect(await rig.untilState("t1", ({ status }) => status === "pending", "waiting")).toMatchObject({
      attempt: 1,
      workerDeaths: 0,
      overlapPossible: true,
    })
    await rig.untilIdle()
    expect([rig.crashes, rig.worker.ownsPlace("c-t1-1")]).toEqual([["t1"], false])
    expect(rig.executor.containers.size).toBe(0)
  })

  it("a crash of an attempt that somebody else has taken over changes nothing", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    await rig.run(
      rig.turns.turn("t1", {
        type: "adopt",
        epoch: 1,
        worker: "w2",
        containerId: "c-t1-1",
        overdueMs: 1,
        nowMs: AT_MS,
      }),
    )
    rig.fail("appendOutput", { type: "refused", times: 9, error: berthError("STORE_CORRUPT", "damaged") })
    await program.print("x")
    program.exit()
    await until(() => rig.crashes.length === 1)
    await rig.untilIdle()
    expect((await rig.state("t1")).holder).toMatchObject({ worker: "w2", epoch: 2 })
    expect(rig.executor.calls.slice(-1)).toEqual(["detach t1"])
    expect(rig.executor.containers.has("c-t1-1")).toBe(true)
  })

  it("the store being away meanwhile, the task is handed back when it answers", async () => {
    const rig = await rigged()
    rig.executor.hold("create")
    await rig.start("t1")
    await rig.executor.untilCalled("create t1")
    rig.executor.crash("create")
    rig.fail("last", { type: "refused", times: 3 })
    rig.executor.letGo("create")
    await rig.manual.advance(20_000)
    expect(await rig.untilPhase("t1", "retrying")).toMatchObject({ attempt: 1 })
    await until(() => rig.worker.heldCount() === 0)
  })
})
