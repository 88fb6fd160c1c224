/** One attempt in a worker's hands: what is written and removed, in which order, when it is stopped or broken in every step. */
import { afterEach, describe, expect, it } from "vitest"
import { berthError } from "../../../../core/errors.ts"
import type { TaskMessage } from "../../../../core/task/messages.ts"
import { settle } from "../../../support/clock.ts"
import { AT_MS } from "../../../support/task.ts"
import { type FakeStep, fakeExecutor } from "../../../support/fakeExecutor.ts"
import { until } from "../../../support/until.ts"
import { makeWorkerRig, type WorkerRig, type WorkerRigOptions } from "../../../support/workerRig.ts"

const rigs: WorkerRig[] = []
const rigged = async (options: WorkerRigOptions = {}): Promise<WorkerRig> => {
  const rig = await makeWorkerRig(options)
  rigs.push(rig)
  await rig.begin()
  return rig
}
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.close()
})

const factsOf = async (rig: WorkerRig, taskId = "t1"): Promise<readonly string[]> =>
  (await rig.run(rig.store.log.readTask(taskId, 0, 200))).flatMap(({ record }) =>
    record.kind === "task" ? record.facts.map(({ type }) => type) : [record.kind],
  )
const cancel = (mode: "cancel" | "kill" = "cancel"): TaskMessage => ({ type: "cancel", mode, by: "ann", nowMs: AT_MS })
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
    expect(result).toMatchObject({ status: "completed", stdout: { totalBytes: 6, headBytes: 6 }, policy: { network: "none" } })
  })

  it("artifacts are kept under a name that no program chose, and named in the result", async () => {
    const rig = await rigged()
    rig.executor.artifacts.set("../../etc/passwd", Uint8Array.of(1, 2, 3))
    await rig.start("t1", { spec: { artifacts: true } })
    ;(await rig.executor.run1("t1")).exit()
    const { result } = await rig.untilRest("t1")
    const [artifact] = result?.artifacts ?? []
    expect(artifact).toMatchObject({ path: "../../etc/passwd", sizeBytes: 3 })
    expect(artifact?.blobKey).toMatch(/^t1\/1\/[0-9a-f]{64}$/)
    expect(await rig.run(rig.blobs.get(artifact?.blobKey ?? ""))).toEqual(Uint8Array.of(1, 2, 3))
    expect(await factsOf(rig)).toContain("phased")
  })

  it("artifacts that cannot be had do not change how the program ended; the reason is said", async () => {
    const rig = await rigged()
    rig.executor.failWith("collect", down)
    await rig.start("t1", { spec: { artifacts: true } })
    ;(await rig.executor.run1("t1")).exit()
    const { result } = await rig.untilRest("t1")
    expect(result).toMatchObject({ status: "completed", artifacts: [], artifactsMissing: "the engine is away" })
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

describe("when somebody asks to stop", () => {
  it("AT5: while the place is being made: it ends at once, unrun, and leaves nothing", async () => {
    const rig = await rigged()
    rig.executor.hold("create")
    await rig.start("t1")
    await rig.executor.untilCalled("create t1")
    await rig.run(rig.turns.turn("t1", cancel("kill")))
    expect(await rig.untilRest("t1")).toMatchObject({ status: "cancelled", result: { reason: "killed" } })
    rig.executor.letGo("create")
    await rig.untilIdle()
    expect(rig.executor.calls).not.toContain("run t1")
    expect(rig.executor.containers.size).toBe(0)
  })

  it("AT5: while the place is being recorded: the record wins, then it ends unrun", async () => {
    const rig = await rigged()
    rig.executor.hold("create")
    await rig.start("t1")
    await rig.executor.untilCalled("create t1")
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
    rig.executor.hold("create")
    await rig.start("t1")
    await rig.executor.untilCalled("create t1")
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

  it.each(["cancel", "kill"] as const)("while it runs: %s reaches the program, and its end is recorded", async (mode) => {
    const rig = await rigged()
    await rig.start("t1")
    await rig.executor.run1("t1")
    await rig.run(rig.turns.turn("t1", cancel(mode)))
    const { result, status } = await rig.untilRest("t1")
    expect([status, result?.reason]).toEqual(["cancelled", mode === "kill" ? "killed" : "cancelled"])
    expect(rig.executor.calls).toContain(`${mode} t1`)
    await rig.untilIdle()
    expect(rig.executor.containers.size).toBe(0)
  })

  it("between the start call and the program's begin", async () => {
    const rig = await rigged()
    rig.executor.hold("run")
    await rig.start("t1")
    await rig.executor.untilCalled("run t1")
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
    rig.executor.hold("collect")
    await rig.start("t1", { spec: { artifacts: true } })
    ;(await rig.executor.run1("t1")).exit()
    await rig.executor.untilCalled("collect t1")
    await rig.run(rig.turns.turn("t1", cancel()))
    rig.executor.letGo("collect")
    expect(await rig.untilRest("t1")).toMatchObject({ status: "completed" })
  })

  it("the time limit is a stop of its own, counted from the program's begin", async () => {
    const rig = await rigged()
    rig.executor.hold("run")
    await rig.start("t1", { spec: { timeoutMs: 500 } })
    await rig.executor.untilCalled("run t1")
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
  const adopt: TaskMessage = { type: "adopt", epoch: 1, worker: "w2", containerId: "c-t1-1", overdueMs: 1, nowMs: AT_MS }

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

  it("a place of one's own that nobody adopted goes away", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    const lose = { type: "lose", epoch: 1, cause: "worker", message: "", overlapPossible: false, nowMs: AT_MS, jitter01: 0 }
    await rig.run(rig.turns.turn("t1", lose as TaskMessage))
    program.exit()
    await rig.untilIdle()
    expect(await rig.state("t1")).toMatchObject({ status: "pending" })
    expect(rig.executor.containers.size).toBe(0)
  })
})

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
    rig.executor.hold("create")
    await rig.start("t1")
    await rig.executor.untilCalled("create t1")
    await rig.run(rig.worker.detach)
    const state = await rig.state("t1")
    expect(state).toMatchObject({ status: "pending", phase: "queued", attempt: 1, workerDeaths: 0 })
    expect(rig.executor.containers.size).toBe(0)
  })

  it("while the place is being recorded: it is recorded, not run, and left to a successor", async () => {
    const rig = await rigged()
    rig.executor.hold("create")
    await rig.start("t1")
    await rig.executor.untilCalled("create t1")
    rig.fail("append", { type: "refused", times: 1 })
    rig.executor.letGo("create")
    await settle()
    const letGo = rig.run(rig.worker.detach)
    await rig.manual.advance(5_000)
    await letGo
    expect(rig.executor.calls).not.toContain("run t1")
    expect(await rig.state("t1")).toMatchObject({ status: "running", holder: { containerId: "c-t1-1" } })
    expect(rig.executor.containers.size).toBe(1)
  })

  it("while artifacts are collected: a successor will", async () => {
    const rig = await rigged()
    rig.executor.hold("collect")
    await rig.start("t1", { spec: { artifacts: true } })
    ;(await rig.executor.run1("t1")).exit()
    await rig.executor.untilCalled("collect t1")
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
    const letGo = rig.run(rig.worker.detach)
    await rig.manual.advance(5_000)
    await letGo
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
        await rig.run(rig.turns.turn("t1", cancel()))
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
