import { existsSync } from "node:fs"
import { readFile, writeFile } from "node:fs/promises"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { processExecutor } from "../../../../actors/executor/process/index.ts"
import { BerthError } from "../../../../core/errors.ts"
import { noSecrets } from "../../../support/secrets.ts"
import { liveClock } from "../../../support/clock.ts"
import { fileOf, ProcessRig, programOf, untilNone } from "../../../support/processRig.ts"

const rig = new ProcessRig()

describe("what does a stop do", () => {
  it.each([
    ["cancel", "cancelled", "cancelled"],
    ["deadline", "timeout", "deadline"],
  ] as const)("%s asks first, and a program that heeds it may finish its words", async (mode, status, reason) => {
    const { start, stop, sink, remove } = await rig.scene(
      programOf("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done"),
      { graceMs: 60_000 },
    )
    const ended = start()
    await sink.untilText("stdout", "ready")
    await stop(mode)
    await stop(mode)
    expect(await ended).toMatchObject({ status, reason, exitCode: 3, signal: null })
    expect(sink.text("stdout")).toBe("ready\nbye\n")
    await remove()
  })

  it("after the grace all of the program's group is killed", async () => {
    const mark = rig.mark()
    const { start, stop, sink, remove } = await rig.scene(
      programOf("trap '' TERM; sleep 1000 & echo ready; while :; do sleep 0.02; done", { env: { [mark]: "1" } }),
      { graceMs: 50 },
    )
    const ended = start()
    await sink.untilText("stdout", "ready")
    await stop("cancel")
    expect(await ended).toMatchObject({ status: "cancelled", reason: "cancelled", signal: "SIGKILL" })
    await untilNone(mark)
    await remove()
  })

  it("a kill is at once, also during the grace of a cancel", async () => {
    const { start, stop, sink, remove } = await rig.scene(programOf("trap '' TERM; echo ready; sleep 1000"), {
      graceMs: 60_000,
    })
    const ended = start()
    await sink.untilText("stdout", "ready")
    await stop("cancel")
    await stop("kill")
    expect(await ended).toMatchObject({ status: "cancelled", reason: "killed", signal: "SIGKILL" })
    await remove()
  })

  it("PR1: a stop before the start runs nothing", async () => {
    const { start, stop, sink, remove, control } = await rig.scene(programOf("echo ran"))
    await stop("cancel")
    expect(await start()).toMatchObject({ status: "cancelled", exitCode: null, signal: null })
    expect([sink.begins(), existsSync(control("keeper"))]).toEqual([0, false])
    await remove()
  })

  it("what a program left in its group is gone when it has ended", async () => {
    const mark = rig.mark()
    const { exit } = await rig.ran(programOf("sleep 1000 >/dev/null 2>&1 & exit 0", { env: { [mark]: "1" } }))
    expect(exit.status).toBe("completed")
    await untilNone(mark)
  })

  it("KP1: when the keeper alone is killed, its program does not live on", async () => {
    const mark = rig.mark()
    const { start, sink, remove, control } = await rig.scene(
      programOf("echo ready; sleep 1000", { env: { [mark]: "1" } }),
    )
    const ended = start()
    await sink.untilText("stdout", "ready")
    process.kill(Number.parseInt(await readFile(control("keeper"), "utf8"), 10), "SIGKILL")
    expect(await ended).toMatchObject({ status: "failed", reason: "signal", signal: "SIGKILL" })
    await untilNone(mark)
    await remove()
  })

  it("remove ends a running program and leaves nothing; twice is no error", async () => {
    const mark = rig.mark()
    const { start, sink, remove } = await rig.scene(programOf("echo ready; sleep 1000", { env: { [mark]: "1" } }))
    const ended = start()
    await sink.untilText("stdout", "ready")
    await remove()
    await ended
    await untilNone(mark)
    await remove()
  })

  it("EX7: paused it does not move, and goes on as if nothing had been", async () => {
    const { executor, start, sink, place, remove, box, control } = await rig.scene(
      programOf("echo ready; while [ ! -e go ]; do sleep 0.01; done; echo done"),
    )
    const ended = start()
    await sink.untilText("stdout", "ready")
    await Effect.runPromise(executor.pause(place))
    await writeFile(box("go"), "")
    const keeper = Number.parseInt(await readFile(control("keeper"), "utf8"), 10)
    const state = async (): Promise<string> =>
      (await readFile(`/proc/${keeper}/stat`, "utf8")).split(") ")[1]?.charAt(0) ?? ""
    while ((await state()) !== "T") await new Promise((resolve) => setImmediate(resolve))
    expect(sink.text("stdout")).toBe("ready\n")
    await Effect.runPromise(executor.unpause(place))
    expect((await ended).status).toBe("completed")
    expect(sink.text("stdout")).toBe("ready\ndone\n")
    await remove()
  })
})

describe("what is refused", () => {
  it("names that are no places of ours, roots that a shell would misread, paths that leave the box, unknown runtimes", async () => {
    const executor = rig.executor()
    const strange = { containerId: "../../etc", imageDigest: null, policy: null }
    const error = await Effect.runPromise(Effect.flip(executor.remove({ taskId: "t", epoch: 1 }, strange)))
    expect(error.code).toBe("INTERNAL")
    expect(() =>
      processExecutor({ root: "/tmp/a b", path: "", hostId: "", cluster: "", clock: liveClock, secrets: noSecrets }),
    ).toThrow(BerthError)
    const impossible = [[fileOf("../x", "")], [fileOf("a", ""), fileOf("a/b", "")], [fileOf("n".repeat(300), "")]]
    for (const files of impossible) {
      const leaving = await rig.scene(programOf("", { files }))
      const refused = await Effect.runPromise(
        Effect.flip(leaving.executor.run(leaving.job, leaving.place, leaving.sink)),
      )
      expect(refused.code).toBe("INVALID_PARAMS")
      await leaving.remove()
    }
    const wordy = await rig.scene(programOf("", { args: Array.from({ length: 200 }, () => "x".repeat(100_000)) }))
    const tooLarge = await Effect.runPromise(Effect.flip(wordy.executor.run(wordy.job, wordy.place, wordy.sink)))
    expect([tooLarge.code, tooLarge.retryable]).toEqual(["TOO_LARGE", false])
    await wordy.remove()
    const unknown = await rig.scene(programOf("", { runtime: "cobol" }))
    expect(
      (await Effect.runPromise(Effect.flip(unknown.executor.run(unknown.job, unknown.place, unknown.sink)))).code,
    ).toBe("RUNTIME_UNKNOWN")
    await unknown.remove()
  })
})
