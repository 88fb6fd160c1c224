import { Effect, Latch } from "effect"
import { afterAll, expect, it } from "vitest"
import type { DockerExecutor } from "../../../actors/executor/docker/index.ts"
import type { Exit } from "../../../core/ports/executor.ts"
import { recordingSink } from "../../support/executorJob.ts"
import { describeWithDocker } from "../../support/require.ts"
import { bash, failureOf, imageProgram, python, Rig, type Started } from "./rig.ts"
import { shelllessImage } from "../../support/images.ts"
import { until } from "../../support/until.ts"

const START = { stdout: 0, stderr: 0 }

describeWithDocker("what does a successor find?", (engine) => {
  const rig = new Rig(engine)
  afterAll(async () => {
    await rig.removeAll()
  })

  /** Numbered lines without end, on both streams, slowly enough to be caught in the middle. */
  const COUNTING =
    "import time\nfor i in range(100000):\n  print(i, flush=True)\n  if i % 10 == 0: import sys; sys.stderr.write(f'e{i}.'); sys.stderr.flush()\n  time.sleep(0.002)"

  const stateOf = async (started: Started): Promise<string> =>
    (await rig.docker.getContainer(started.place.containerId ?? "").inspect()).State.Status

  const untilState = async (started: Started, state: string): Promise<void> => {
    while ((await stateOf(started)) !== state) await new Promise((resolve) => setImmediate(resolve))
  }

  const adopt = (executor: DockerExecutor, started: Started, sink = recordingSink(), from = START): Promise<Exit> =>
    Effect.runPromise(executor.adopt({ ...started.job, epoch: 2 }, started.place, sink, from))

  const numbers = (text: string) => text.split("\n").filter(Boolean).map(Number)

  it("running, after a detach: output goes on at the byte where it stopped, each line once", async () => {
    const started = await rig.start(python(COUNTING))
    await started.sink.untilText("stdout", "\n40\n")
    await Effect.runPromise(rig.executor.detach(started.job, started.place))
    await expect(started.exit).rejects.toMatchObject({ code: "SHUTTING_DOWN" })
    const [out, err] = [started.sink.text("stdout"), started.sink.text("stderr")]
    const from = { stdout: Buffer.byteLength(out), stderr: Buffer.byteLength(err) }
    const successor = rig.successor()
    const more: Record<"stdout" | "stderr", { at: number; text: string }> = {
      stdout: { at: from.stdout, text: out },
      stderr: { at: from.stderr, text: err },
    }
    let enough = () => {}
    const untilEnough = new Promise<void>((resolve) => {
      enough = resolve
    })
    const sink = {
      ...recordingSink(),
      write: (stream: "stdout" | "stderr", offset: number, bytes: Uint8Array) =>
        Effect.sync(() => {
          expect(offset).toBe(more[stream].at)
          more[stream] = { at: offset + bytes.length, text: more[stream].text + Buffer.from(bytes).toString() }
          if (more.stdout.text.includes("\n200\n")) enough()
        }),
    }
    const ending = Effect.runPromise(successor.adopt({ ...started.job, epoch: 2 }, started.place, sink, from))
    await untilEnough
    await Effect.runPromise(successor.stop(started.job, started.place, "kill"))
    expect(await ending).toMatchObject({ status: "cancelled", reason: "killed" })
    const seen = numbers(more.stdout.text.slice(0, more.stdout.text.lastIndexOf("\n")))
    expect(seen).toEqual(Array.from({ length: seen.length }, (_, index) => index))
    expect(seen.length).toBeGreaterThan(200)
    const marks = more.stderr.text.match(/e\d+\./g) ?? []
    expect(marks).toEqual(marks.map((_, index) => `e${index * 10}.`))
    await rig.remove(started)
  })

  it("being fed while its run was left for a detach: the detach waits for the whole feed, and it runs", async () => {
    const go = Latch.makeUnsafe(false)
    let isHalfFed = false
    const halfFed = Effect.suspend(() => {
      isHalfFed = true
      return Latch.await(go)
    })
    const slow = new Rig(engine, { halfFed })
    const big = { path: "big.bin", content: "x".repeat(1_000_000), encoding: "utf8" as const, executable: false }
    const started = await slow.start(bash("wc -c < big.bin; exit 4", { files: [big] }))
    await until(() => isHalfFed, "half of the feed")
    await started.interrupt()
    const detaching = Effect.runPromise(slow.executor.detach(started.job, started.place))
    Latch.openUnsafe(go)
    await detaching
    const sink = recordingSink()
    expect(await adopt(slow.successor(), started, sink)).toMatchObject({ status: "failed", exitCode: 4 })
    expect(sink.text("stdout").trim()).toBe("1000000")
    await slow.remove(started)
  })

  it("running, after its runner was simply gone: the same, from the start if nothing was kept", async () => {
    const started = await rig.start(
      python("import time\nfor i in range(60): print(i, flush=True); time.sleep(0.01)\nraise SystemExit(9)"),
    )
    await started.sink.untilText("stdout", "\n10\n")
    await started.interrupt()
    const sink = recordingSink()
    const exit = await adopt(rig.successor(), started, sink)
    expect(exit).toMatchObject({ status: "failed", exitCode: 9 })
    expect(numbers(sink.text("stdout"))).toEqual(Array.from({ length: 60 }, (_, index) => index))
    expect(sink.begins()).toBe(1)
    await rig.remove(started)
  })

  it("ended while nobody was there: its output, its exit and its numbers are all still there", async () => {
    const started = await rig.start(
      python("import time, sys\nprint('up', flush=True); time.sleep(0.2); sys.stdout.write('no newline'); sys.exit(3)"),
    )
    await started.sink.untilText("stdout", "up")
    await started.interrupt()
    await untilState(started, "exited")
    const sink = recordingSink()
    const exit = await adopt(rig.successor(), started, sink)
    expect(exit).toMatchObject({ status: "failed", reason: "exit_nonzero", exitCode: 3 })
    expect(exit.memoryPeakBytes).toBeGreaterThan(0)
    expect(sink.text("stdout")).toBe("up\nno newline")
    await rig.remove(started)
  })

  it("ended and holding: its files can still be taken", async () => {
    const text = "import time\nprint('up', flush=True); time.sleep(0.2)\nopen('/box/out/r', 'w').write('kept')"
    const started = await rig.start(python(text), { artifacts: true })
    await started.sink.untilText("stdout", "up")
    await started.interrupt()
    const successor = rig.successor()
    expect(await adopt(successor, started)).toMatchObject({ status: "completed" })
    const { kept, missing } = await rig.collect(started, successor)
    expect([kept.get("r")?.toString(), missing]).toEqual(["kept", null])
    await rig.remove(started)
  })

  it("its time limit passed while nobody was there: the watcher inside has ended it", async () => {
    const started = await rig.start(bash("echo up; while :; do sleep 1; done"), { timeoutMs: 400, graceMs: 200 })
    await started.sink.untilText("stdout", "up")
    await started.interrupt()
    await untilState(started, "exited")
    expect(await adopt(rig.successor(), started)).toMatchObject({
      status: "timeout",
      reason: "deadline",
      signal: "SIGTERM",
    })
    await rig.remove(started)
  })

  it("created and never started: it is run", async () => {
    const job = rig.job(bash("echo ran"))
    const place = await rig.create(job)
    const sink = recordingSink()
    const exit = await Effect.runPromise(rig.successor().adopt({ ...job, epoch: 2 }, place, sink, START))
    expect([exit.status, sink.text("stdout")]).toEqual(["completed", "ran\n"])
    await rig.remove({ job, place })
  })

  it("started but never fed: nothing ran, and that is nobody's attempt", async () => {
    const job = rig.job(bash("echo ran"))
    const place = await rig.create(job)
    const container = rig.docker.getContainer(place.containerId ?? "")
    const socket = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true })
    await container.start()
    socket.end()
    await container.wait()
    const error = await failureOf(rig.successor().adopt({ ...job, epoch: 2 }, place, recordingSink(), START))
    expect([error.code, error.retryable]).toEqual(["BACKEND_UNAVAILABLE", true])
    await rig.remove({ job, place })
  })

  it("gone: lost, and said so", async () => {
    const job = rig.job(bash("echo ran"))
    const place = await rig.create(job)
    await rig.remove({ job, place })
    const error = await failureOf(rig.successor().adopt({ ...job, epoch: 2 }, place, recordingSink(), START))
    expect([error.code, error.retryable]).toEqual(["BACKEND_UNAVAILABLE", true])
    expect(error.message).toContain("lost")
  })

  it("killed by nobody knows whom while nobody was there: lost, not failed", async () => {
    const started = await rig.start(bash("echo up; sleep 60"))
    await started.sink.untilText("stdout", "up")
    await started.interrupt()
    await rig.docker.getContainer(started.place.containerId ?? "").kill()
    await untilState(started, "exited")
    const error = await failureOf(
      rig.successor().adopt({ ...started.job, epoch: 2 }, started.place, recordingSink(), START),
    )
    expect(error.message).toContain("lost")
    await rig.remove(started)
  })

  it("a log whose beginning is gone: the gap is said, nothing is told twice, and the end is known", async () => {
    const text = [
      "import sys, os, time",
      "print('up', flush=True); time.sleep(0.3)",
      "for i in range(200): sys.stdout.write(f'{i:0999}\\n' * 100)",
      "sys.stdout.flush(); open('/box/out/done', 'w')",
      "while not os.path.exists('/box/out/go'): time.sleep(0.02)",
      "print('afterwards', flush=True); sys.exit(8)",
    ].join("\n")
    const started = await rig.start(python(text), { artifacts: true })
    await started.sink.untilText("stdout", "up")
    await started.interrupt()
    const container = rig.docker.getContainer(started.place.containerId ?? "")
    const inside = async (command: string) => {
      const exec = await container.exec({ Cmd: ["sh", "-c", command], AttachStdout: true })
      const stream = await exec.start({ hijack: true, stdin: false })
      for await (const _ of stream) void _
      return (await exec.inspect()).ExitCode
    }
    while ((await inside("[ -e /box/out/done ]")) !== 0) await new Promise((resolve) => setImmediate(resolve))
    const sink = recordingSink({ from: 3 })
    const from = { stdout: 3, stderr: 3 }
    const ending = adopt(rig.successor(), started, sink, from)
    while (sink.losses.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await inside(": > /box/out/go")
    expect(await ending).toMatchObject({ status: "failed", exitCode: 8 })
    expect(sink.losses).toContainEqual({ stream: "stdout", offset: 3, bytes: null })
    expect(sink.text("stdout")).toBe("afterwards\n")
    const again = recordingSink({ from: 3 })
    expect(await adopt(rig.successor(), started, again, from)).toMatchObject({ exitCode: 8 })
    expect([again.text("stdout"), again.losses.length]).toEqual(["", 2])
    await rig.remove(started)
  })

  it("an image without a shell: its log is read from the start and its exit from the engine", async () => {
    const image = await shelllessImage(engine)
    const started = await rig.start(imageProgram(image, ["/program", "say", "hello", "there"]))
    expect(await started.exit).toMatchObject({ status: "completed" })
    const sink = recordingSink({ from: 6 })
    const exit = await adopt(rig.successor(), started, sink, { stdout: 6, stderr: 0 })
    expect([exit.status, exit.exitCode, sink.text("stdout")]).toEqual(["completed", 0, "there\n"])
    await rig.remove(started)
  })
})
