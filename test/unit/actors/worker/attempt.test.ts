/** One attempt in a worker's hands: what is written and removed, in which order, also when something breaks in every step. */
import { describe, expect, it } from "vitest"
import { berthError } from "../../../../core/errors.ts"
import { resultWithoutExit } from "../../../../core/task/outcome.ts"
import type { TaskMessage } from "../../../../core/task/messages.ts"
import { type FakeStep } from "../../../support/fakeExecutor.ts"
import { AT_MS } from "../../../support/task.ts"
import { factsOf, workerRigs } from "../../../support/workerRig.ts"

const rigged = workerRigs()
const down = berthError("BACKEND_UNAVAILABLE", "the engine is away")
const refusedImage = berthError("IMAGE_NOT_FOUND", "no such image")

describe("the usual life", () => {
  it("AT1 AT2 AT3: place, program, output, end, removal, in this order", async () => {
    const rig = await rigged()
    rig.executor.hold("run", "remove")
    await rig.start("t1")
    await rig.executor.untilCalled("run t1")
    expect((await rig.state("t1")).holder).toMatchObject({ containerId: "c-t1-1", imageDigest: "sha256:1" })
    rig.executor.letGo("run")
    const program = await rig.executor.run1("t1")
    await program.print("hello\n")
    program.exit({ exitCode: 0 })
    await rig.executor.untilCalled("remove t1")
    expect((await rig.state("t1")).status).toBe("completed")
    expect(rig.worker.holds("t1")).toBe(true)
    rig.executor.letGo("remove")
    await rig.untilIdle()
    expect(await factsOf(rig)).toEqual(["submitted", "started", "placed", "output", "ended"])
    expect(rig.executor.containers.size).toBe(0)
    const { result } = await rig.state("t1")
    expect(result).toMatchObject({
      status: "completed",
      stdout: { totalBytes: 6, headBytes: 6 },
      policy: { network: "none" },
    })
  })

  it("a failed attempt with attempts left waits for its retry, under a new epoch then", async () => {
    const rig = await rigged()
    const retry = { maxAttempts: 2, delayMsInitial: 1_000, delayMsMax: 1_000, factor: 1 }
    await rig.start("t1", { spec: { retry } })
    ;(await rig.executor.run1("t1")).exit({ status: "failed", reason: "exit_nonzero", exitCode: 3 })
    await rig.untilPhase("t1", "retrying")
    await rig.untilIdle()
    const waiting = await rig.state("t1")
    await rig.run(rig.turns.turn("t1", { type: "wake", wakeAtMs: waiting.wakeAtMs ?? 0, nowMs: AT_MS }))
    await rig.wake("t1")
    ;(await rig.executor.run1("t1")).exit()
    expect(await rig.untilRest("t1")).toMatchObject({ status: "completed", attempt: 2, epoch: 2 })
  })
})

describe("when the backend fails", () => {
  const FEEDING: readonly FakeStep[] = ["create", "run"]
  it.each(FEEDING)("in `%s`, for now: the task waits again, no attempt used, nothing left", async (step) => {
    const rig = await rigged()
    rig.executor.failWith(step, down)
    await rig.start("t1")
    const state = await rig.untilPhase("t1", "retrying")
    expect(state).toMatchObject({ status: "pending", attempt: 1, workerDeaths: 0, holder: null })
    await rig.untilIdle()
    expect(rig.executor.containers.size).toBe(0)
  })

  it.each(FEEDING)("in `%s`, for good: the task fails with the backend's words", async (step) => {
    const rig = await rigged()
    rig.executor.failWith(step, refusedImage)
    await rig.start("t1")
    const { result, status } = await rig.untilRest("t1")
    expect([status, result?.reason, result?.message]).toEqual(["failed", "refused", "no such image"])
    await rig.untilIdle()
  })

  it("while the program runs: what was printed is durable, and the task waits again", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    await program.print("before\n")
    program.fail(down)
    await rig.untilPhase("t1", "retrying")
    expect(await factsOf(rig)).toEqual(["submitted", "started", "placed", "output", "lost"])
  })

  it.each([
    ["engine-2", true],
    ["engine-1", false],
  ] as const)(
    "while the program runs, and nobody can remove it: a start on %s says that the two may overlap: %s",
    async (engineId, overlapPossible) => {
      const rig = await rigged()
      rig.executor.failWith("remove", down)
      await rig.start("t1")
      ;(await rig.executor.run1("t1")).fail(down)
      const { left, wakeAtMs } = await rig.untilPhase("t1", "retrying")
      expect(left).toEqual([{ engineId: "engine-1", runEpoch: 1 }])
      await rig.run(rig.turns.turn("t1", { type: "wake", wakeAtMs: wakeAtMs ?? 0, nowMs: AT_MS }))
      const start = { type: "start", epoch: 2, worker: "w2", engineId, admission: 1, overdueMs: 1 } as const
      await rig.run(rig.turns.turn("t1", { ...start, nowMs: AT_MS }))
      expect(await rig.state("t1")).toMatchObject({ status: "running", overlapPossible, workerDeaths: 0 })
    },
  )

  it("in `remove`: it is tried until the engine takes it, and the slot stays taken", async () => {
    const rig = await rigged()
    rig.executor.failWith("remove", down)
    await rig.start("t1")
    ;(await rig.executor.run1("t1")).exit()
    await rig.untilRest("t1")
    await rig.manual.advance(10_000)
    expect(rig.worker.heldCount()).toBe(1)
    rig.executor.failWith("remove", null)
    await rig.manual.advance(10_000)
    await rig.untilIdle()
    expect(rig.executor.containers.size).toBe(0)
  })
})

describe("when the store fails", () => {
  it("AT2: the end waits until the output that it counts is durable, and is written once", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    rig.fail("appendOutput", { type: "refused", times: 3 })
    await program.print("late\n")
    program.exit()
    await rig.manual.advance(10_000)
    await rig.untilRest("t1")
    expect((await factsOf(rig)).slice(-2)).toEqual(["output", "ended"])
  })

  it("an end whose reply was lost is written once", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    rig.fail("append", { type: "replyLost", times: 1 })
    program.exit()
    await rig.untilRest("t1")
    await rig.untilIdle()
    expect((await factsOf(rig)).filter((fact) => fact === "ended").length).toBe(1)
  })
})

describe("when another epoch has taken over (AT4)", () => {
  const adopt: TaskMessage = {
    type: "adopt",
    epoch: 1,
    worker: "w2",
    containerId: "c-t1-1",
    overdueMs: 1,
    nowMs: AT_MS,
  }

  it("an end is not written, and the place that was adopted is left alone", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    await rig.run(rig.turns.turn("t1", adopt))
    program.exit()
    await rig.untilIdle()
    expect(await rig.state("t1")).toMatchObject({ status: "running", holder: { worker: "w2", epoch: 2 } })
    expect(rig.executor.containers.has("c-t1-1")).toBe(true)
    expect(rig.crashes).toEqual([])
  })

  it.each([
    ["its streams are let go of, for whoever adopted it", null],
    ["an engine that does not let go of them keeps no slot", down],
  ])("of a place that was adopted: %s", async (_what, failure) => {
    const rig = await rigged()
    rig.executor.failWith("detach", failure)
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    await rig.run(rig.turns.turn("t1", adopt))
    program.exit()
    await rig.untilIdle()
    expect(rig.executor.calls.slice(-1)).toEqual(["detach t1"])
    expect(rig.executor.calls).not.toContain("remove t1")
  })

  it.each(["before its program began", "while its program runs"])(
    "one that the leader ended %s lets go of its slot, and its place goes away, though nothing of it returns",
    async (when) => {
      const rig = await rigged()
      if (when === "before its program began") rig.executor.hold("run")
      // Nothing comes of a wish to stop either.
      rig.executor.hold("stop")
      await rig.start("t1", { spec: { timeoutMs: 60_000, graceMs: 5_000 } })
      await rig.executor.untilCalled("run t1")
      const state = await rig.state("t1")
      const end = { status: "timeout", reason: "deadline", message: "overdue", nowMs: AT_MS } as const
      const exit = { type: "exit", epoch: 1, result: resultWithoutExit(state, end), nowMs: AT_MS, jitter01: 0 } as const
      await rig.run(rig.turns.turn("t1", exit))
      await rig.manual.advance(60_000 + 5_000)
      expect(rig.worker.heldCount()).toBe(1)
      await rig.manual.advance(1_000)
      await rig.untilIdle()
      expect([rig.executor.containers.size, rig.crashes]).toEqual([0, []])
      expect((await rig.state("t1")).result?.message).toBe("overdue")
    },
  )

  it("one that nobody ended goes on, however long it takes", async () => {
    const rig = await rigged()
    rig.executor.hold("stop")
    await rig.start("t1", { spec: { timeoutMs: 1_000, graceMs: 0 } })
    const program = await rig.executor.run1("t1")
    rig.fail("last", { type: "refused", times: 3 })
    await rig.manual.advance(60_000)
    expect(rig.worker.heldCount()).toBe(1)
    program.exit()
    expect(await rig.untilRest("t1")).toMatchObject({ status: "completed" })
  })

  it("a place of one's own that nobody adopted goes away", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    const lose = {
      type: "lose",
      epoch: 1,
      cause: "worker",
      message: "",
      overlapPossible: false,
      nowMs: AT_MS,
      jitter01: 0,
    }
    await rig.run(rig.turns.turn("t1", lose as TaskMessage))
    program.exit()
    await rig.untilIdle()
    expect(await rig.state("t1")).toMatchObject({ status: "pending" })
    expect(rig.executor.containers.size).toBe(0)
  })
})
