/** Does a wish to stop reach an attempt in every step, and is its end the right one? */
import { describe, expect, it } from "vitest"
import { berthError } from "../../../../core/errors.ts"
import type { TaskMessage } from "../../../../core/task/messages.ts"
import { AT_MS } from "../../../support/task.ts"
import { until } from "../../../support/until.ts"
import { workerRigs } from "../../../support/workerRig.ts"

const rigged = workerRigs()
const cancel = (mode: "cancel" | "kill" = "cancel"): TaskMessage => ({ type: "cancel", mode, by: "ann", nowMs: AT_MS })
const down = berthError("BACKEND_UNAVAILABLE", "the engine is away")

describe("when somebody asks to stop", () => {
  it("AT5: while the place is being made: it ends at once, unrun, and leaves nothing", async () => {
    const rig = await rigged()
    await rig.startHeldAt("create")
    await rig.run(rig.turns.turn("t1", cancel("kill")))
    expect(await rig.untilRest("t1")).toMatchObject({ status: "cancelled", result: { reason: "killed" } })
    rig.executor.letGo("create")
    await rig.untilIdle()
    expect(rig.executor.calls).not.toContain("run t1")
    expect(rig.executor.containers.size).toBe(0)
  })

  it("AT5: while the place is being recorded: the record wins, then it ends unrun", async () => {
    const rig = await rigged()
    await rig.startHeldAt("create")
    // The store refuses the record of the place for a while.
    rig.fail("append", { type: "refused", times: 1 })
    rig.executor.letGo("create")
    await until(() => rig.executor.containers.size === 1)
    expect(rig.worker.stop("t1", "cancel")).toBe(true)
    await rig.manual.advance(5_000)
    expect(await rig.untilRest("t1")).toMatchObject({ status: "cancelled" })
    await rig.untilIdle()
    expect(rig.executor.calls).not.toContain("run t1")
    expect(rig.executor.containers.size).toBe(0)
  })

  it("AT5: a wish in the log that no signal brought is seen when the place is recorded", async () => {
    const rig = await rigged()
    await rig.startHeldAt("create")
    const { state, seq } = await rig.run(rig.turns.load("t1"))
    const stop = { mode: "cancel" as const, by: "ann", atMs: AT_MS }
    await rig.run(
      rig.store.log.append("t.t1.s", seq, {
        kind: "task",
        recordId: "silent",
        facts: [{ type: "stopRequested", stop, atMs: AT_MS }],
        state: { ...state, phase: "stopping", stop },
      }),
    )
    rig.executor.letGo("create")
    expect(await rig.untilRest("t1")).toMatchObject({ status: "cancelled" })
    await rig.untilIdle()
    expect(rig.executor.calls).not.toContain("run t1")
  })

  it.each(["cancel", "kill"] as const)(
    "while it runs: %s reaches the program, and its end is recorded",
    async (mode) => {
      const rig = await rigged()
      await rig.start("t1")
      await rig.executor.run1("t1")
      await rig.run(rig.turns.turn("t1", cancel(mode)))
      const { result, status } = await rig.untilRest("t1")
      expect([status, result?.reason]).toEqual(["cancelled", mode === "kill" ? "killed" : "cancelled"])
      expect(rig.executor.calls).toContain(`${mode} t1`)
      await rig.untilIdle()
      expect(rig.executor.containers.size).toBe(0)
    },
  )

  it("between the start call and the program's begin", async () => {
    const rig = await rigged()
    await rig.startHeldAt("run")
    await rig.run(rig.turns.turn("t1", cancel()))
    await rig.executor.untilCalled("stop t1")
    rig.executor.letGo("run")
    ;(await rig.executor.run1("t1")).exit({ status: "cancelled", reason: "cancelled" })
    expect(await rig.untilRest("t1")).toMatchObject({ status: "cancelled" })
  })

  it("a kill while a gentler stop is under way is passed on", async () => {
    const rig = await rigged()
    rig.executor.hold("stop")
    await rig.start("t1")
    await rig.executor.run1("t1")
    await rig.run(rig.turns.turn("t1", cancel("cancel")))
    await rig.executor.untilCalled("stop t1")
    await rig.run(rig.turns.turn("t1", cancel("kill")))
    await until(() => rig.executor.calls.filter((call) => call === "stop t1").length === 2)
    rig.executor.letGo("stop")
    expect(await rig.untilRest("t1")).toMatchObject({ status: "cancelled", result: { reason: "killed" } })
  })

  it("a stop that the engine does not take is tried until it does", async () => {
    const rig = await rigged()
    rig.executor.failWith("stop", down)
    await rig.start("t1")
    await rig.executor.run1("t1")
    await rig.run(rig.turns.turn("t1", cancel()))
    await rig.executor.untilCalled("stop t1")
    rig.executor.failWith("stop", null)
    await rig.manual.advance(5_000)
    expect(await rig.untilRest("t1")).toMatchObject({ status: "cancelled" })
  })

  it("while artifacts are collected: the program has ended, and its end stands", async () => {
    const rig = await rigged()
    await rig.startHeldAtCollect()
    await rig.run(rig.turns.turn("t1", cancel()))
    rig.executor.letGo("collect")
    expect(await rig.untilRest("t1")).toMatchObject({ status: "completed" })
  })

  it("the time limit is a stop of its own, counted from the program's begin", async () => {
    const rig = await rigged()
    await rig.startHeldAt("run", { spec: { timeoutMs: 500 } })
    await rig.manual.advance(2_000)
    expect(rig.executor.calls).not.toContain("deadline t1")
    rig.executor.letGo("run")
    await rig.executor.run1("t1")
    await rig.manual.advance(499)
    expect(rig.executor.calls).not.toContain("deadline t1")
    await rig.manual.advance(1)
    expect(await rig.untilRest("t1")).toMatchObject({ status: "timeout", result: { reason: "deadline" } })
  })
})
