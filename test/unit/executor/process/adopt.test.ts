import { existsSync } from "node:fs"
import { readFile, truncate, writeFile } from "node:fs/promises"
import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { BerthError } from "../../../../core/errors.ts"
import type { TaskSpec } from "../../../../core/task/spec.ts"
import { recordingSink } from "../../../support/executorJob.ts"
import { ProcessRig, programOf } from "../../../support/processRig.ts"

const rig = new ProcessRig()

describe("what does a successor find", () => {
  const counting =
    "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; echo mid; while [ ! -e go ]; do sleep 0.01; done; echo end; exit 7"

  /** A first server that began and then let go, as a crash or a detach would. */
  const abandoned = async (code: string, spec: Partial<TaskSpec> = {}, until = "mid") => {
    const it = await rig.scene(programOf(code), spec)
    const fiber = Effect.runFork(it.executor.run(it.job, it.place, it.sink))
    await it.sink.untilText("stdout", until)
    await Effect.runPromise(Fiber.interrupt(fiber))
    await Effect.runPromise(it.executor.detach(it.job, it.place))
    return it
  }
  const adopter = (it: Awaited<ReturnType<typeof abandoned>>, from: number) => {
    const sink = recordingSink({ from })
    const executor = rig.executor()
    const job = { ...it.job, epoch: 2 }
    const ended = Effect.runPromise(executor.adopt(job, it.place, sink, { stdout: from, stderr: from }))
    return { sink, executor, job, ended, go: () => writeFile(it.box("go"), "") }
  }

  it("EX4: a running program, whose output goes on at any offset without a repeat or a gap", async () => {
    const it = await abandoned(counting)
    const whole = Array.from({ length: 300 }, (_, index) => `line ${index}\n`).join("")
    const heir = adopter(it, 1_234)
    await heir.sink.untilBegan
    await heir.go()
    expect(await heir.ended).toMatchObject({ status: "failed", reason: "exit_nonzero", exitCode: 7 })
    expect(heir.sink.text("stdout")).toBe(`${whole}mid\nend\n`.slice(1_234))
    await Effect.runPromise(heir.executor.remove(heir.job, it.place))
  })

  it("a program that ended while nobody was there, with its output and exit code", async () => {
    const it = await abandoned(counting)
    await writeFile(it.box("go"), "")
    while (!existsSync(it.control("status"))) await new Promise((resolve) => setImmediate(resolve))
    const heir = adopter(it, 0)
    const exit = await heir.ended
    expect(exit).toMatchObject({ exitCode: 7 })
    expect(exit.wallMs).not.toBeNull()
    expect(heir.sink.text("stdout").endsWith("mid\nend\n")).toBe(true)
    await Effect.runPromise(heir.executor.remove(heir.job, it.place))
  })

  it("EX9: the time limit was enforced though nobody was there", async () => {
    const it = await abandoned("trap 'echo late; exit 9' TERM; echo mid; while :; do sleep 0.02; done", {
      timeoutMs: 1,
    })
    while (!existsSync(it.control("status"))) await new Promise((resolve) => setImmediate(resolve))
    const heir = adopter(it, 0)
    expect(await heir.ended).toMatchObject({ status: "timeout", reason: "deadline", exitCode: 9 })
    expect(heir.sink.text("stdout")).toBe("mid\nlate\n")
    await Effect.runPromise(heir.executor.remove(heir.job, it.place))
  })

  it("a stop that was asked for before the adoption is obeyed by it", async () => {
    const it = await abandoned("echo mid; sleep 1000")
    const executor = rig.executor()
    await Effect.runPromise(executor.stop(it.job, it.place, "cancel"))
    const exit = await Effect.runPromise(executor.adopt(it.job, it.place, recordingSink(), { stdout: 0, stderr: 0 }))
    expect(exit).toMatchObject({ status: "cancelled", signal: "SIGTERM" })
    await Effect.runPromise(executor.remove(it.job, it.place))
  })

  it("a place that was never started, one whose keeper left no word, and none at all are lost, retryable", async () => {
    const never = await rig.scene(programOf("echo"))
    const silent = await abandoned("echo mid; sleep 1000")
    const keeper = Number.parseInt(await readFile(silent.control("keeper"), "utf8"), 10)
    process.kill(-keeper, "SIGKILL")
    await never.remove()
    const empty = await rig.scene(programOf("echo"))
    for (const it of [never, silent, empty]) {
      const error: unknown = await Effect.runPromise(
        Effect.flip(rig.executor().adopt(it.job, it.place, recordingSink(), { stdout: 0, stderr: 0 })),
      )
      expect(error).toBeInstanceOf(BerthError)
      expect((error as BerthError).retryable).toBe(true)
      await it.remove()
    }
  })

  it("a recorded process number that now is somebody else's is not touched", async () => {
    const it = await abandoned(counting)
    const stat = await readFile(it.control("keeper"), "utf8")
    const other = `${process.pid} (node)${stat.slice(stat.lastIndexOf(")") + 1)}`
    const pid = Number.parseInt(stat, 10)
    await truncate(it.control("keeper"), 0)
    await writeFile(it.control("keeper"), other)
    const error = await Effect.runPromise(
      Effect.flip(rig.executor().adopt(it.job, it.place, recordingSink(), { stdout: 0, stderr: 0 })),
    )
    expect(error.retryable).toBe(true)
    process.kill(-pid, "SIGKILL")
    await Effect.runPromise(rig.executor().remove(it.job, it.place))
  })

  it("places of its cluster and the named workers only, and whether they run", async () => {
    const running = await abandoned("echo mid; sleep 1000")
    const idle = await rig.scene(programOf("echo"))
    const found = await Effect.runPromise(rig.executor().places(["w"]))
    expect(found).toContainEqual({
      containerId: running.place.containerId,
      worker: "w",
      taskId: running.job.taskId,
      running: true,
    })
    expect(found).toContainEqual({
      containerId: idle.place.containerId,
      worker: "w",
      taskId: idle.job.taskId,
      running: false,
    })
    expect((await Effect.runPromise(rig.executor().places(null))).length).toBe(2)
    expect(await Effect.runPromise(rig.executor().places(["other"]))).toEqual([])
    expect(await Effect.runPromise(rig.executor("other").places(["w"]))).toEqual([])
    await running.remove()
    await idle.remove()
  })
})
