import { connect, createServer, type Server, type Socket } from "node:net"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Fiber } from "effect"
import { afterAll, afterEach, beforeEach, expect, it, vi } from "vitest"
import type { FoundEngine } from "../../../gateway/provision/engine.ts"
import { recordingSink } from "../../support/executorJob.ts"
import { describeWithDocker } from "../../support/require.ts"
import { bash, failureOf, imageProgram, python, Rig } from "./rig.ts"

/** Stands between the executor and the engine, and can cut or refuse connections. */
class Wire {
  readonly path: string
  readonly #folder = mkdtempSync(join(tmpdir(), "berth-wire-"))
  readonly #sockets = new Set<Socket>()
  #server: Server
  /** Called with what the executor sends; true cuts that connection. */
  cutWhen: (sent: Buffer) => boolean = () => false
  refusing = false
  /** Changes what the engine answers, without changing its length. */
  rewrite: (answer: Buffer) => Buffer = (answer) => answer

  constructor(socketPath: string) {
    this.path = join(this.#folder, "engine.sock")
    this.#server = createServer({ allowHalfOpen: true }, (near) => {
      if (this.refusing) return void near.destroy()
      const far = connect({ path: socketPath, allowHalfOpen: true })
      for (const socket of [near, far]) {
        this.#sockets.add(socket)
        socket.on("error", () => undefined)
        socket.on("close", () => this.#sockets.delete(socket))
      }
      near.on("data", (sent) => {
        if (this.cutWhen(sent)) return void (near.destroy(), far.destroy())
        far.write(sent)
      })
      near.on("end", () => far.end())
      far.on("data", (answer) => near.write(this.rewrite(answer)))
      far.on("end", () => near.end())
    })
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(this.path, resolve))
  }

  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.cutAll()
    await new Promise((resolve) => this.#server.close(resolve))
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

const socketOf = (engine: FoundEngine): string | null =>
  engine.host.startsWith("unix://") ? engine.host.slice(7) : null

describeWithDocker("what if the engine, or the way to it, fails?", (engine) => {
  const socketPath = socketOf(engine)
  let wire: Wire
  let rig: Rig
  beforeEach(async () => {
    wire = new Wire(socketPath ?? "/var/run/docker.sock")
    await wire.listen()
    rig = new Rig({ ...engine, host: `unix://${wire.path}` })
  })
  afterEach(async () => {
    wire.cutWhen = () => false
    wire.refusing = false
    await rig.removeAll()
    await wire.close()
  })

  const COUNT = "import time, sys\nfor i in range(150): print(i, flush=True); time.sleep(0.01)\nsys.exit(7)"

  it("every connection is cut while it runs: it goes on where it was, each line once", async () => {
    const started = await rig.start(python(COUNT))
    await started.sink.untilText("stdout", "\n20\n")
    wire.cutAll()
    await started.sink.untilText("stdout", "\n70\n")
    wire.cutAll()
    expect(await started.exit).toMatchObject({ status: "failed", exitCode: 7 })
    expect(started.sink.text("stdout")).toBe(Array.from({ length: 150 }, (_, index) => `${index}\n`).join(""))
    expect(started.sink.begins()).toBe(1)
  })

  it("the engine is away for longer than the program runs: its end is found afterwards", async () => {
    const started = await rig.start(
      python("import time\nprint('up', flush=True); time.sleep(0.3); print('done'); raise SystemExit(5)"),
    )
    await started.sink.untilText("stdout", "up")
    wire.refusing = true
    wire.cutAll()
    const watcher = new Rig(engine)
    const container = watcher.docker.getContainer(started.place.containerId ?? "")
    await container.wait()
    wire.refusing = false
    expect(await started.exit).toMatchObject({ status: "failed", exitCode: 5 })
    expect(started.sink.text("stdout")).toBe("up\ndone\n")
  })

  it("the engine is away again when its log is asked for, and its clock: the end comes as usual", async () => {
    const more = "import sys\nfor i in range(160): sys.stdout.write('x' * 65535 + '\\n')\n"
    const started = await rig.start(
      python(`${more}print('up', file=sys.stderr, flush=True); import time; time.sleep(2); sys.exit(6)`),
    )
    await started.sink.untilText("stderr", "up")
    let [logs, infos] = [0, 0]
    wire.cutWhen = (sent) =>
      (sent.includes("/logs?") && (logs += 1) <= 2) || (sent.includes("/info") && (infos += 1) <= 2)
    wire.cutAll()
    expect(await started.exit).toMatchObject({ status: "failed", exitCode: 6 })
    expect([logs > 2, infos > 2]).toEqual([true, true])
  })

  it("the program is cut off while it is fed: nothing of it runs, and that is nobody's attempt", async () => {
    const big = { path: "big.bin", content: "x".repeat(4_000_000), encoding: "utf8" as const, executable: false }
    const job = rig.job(bash("echo ran", { files: [big] }))
    const place = await rig.create(job)
    let sentBytes = 0
    wire.cutWhen = (sent) => {
      const before = sentBytes
      sentBytes += sent.length
      return before <= 1_000_000 && sentBytes > 1_000_000
    }
    const sink = recordingSink()
    const error = await failureOf(rig.executor.run(job, place, sink))
    expect([error.code, error.retryable, sink.text("stdout")]).toEqual(["BACKEND_UNAVAILABLE", true, ""])
    expect(error.message).toContain("lost")
  })

  it("an engine that ignores a part of the sandbox gets no program to run", async () => {
    wire.rewrite = (answer) =>
      Buffer.from(
        answer
          .toString("latin1")
          .replace('"CapDrop":["ALL"]', '"CapDrop":null   ')
          .replace('"ReadonlyRootfs":true', '"ReadonlyRootfs":null'),
        "latin1",
      )
    const error = await failureOf(rig.executor.create(rig.job(bash("echo ran"))))
    expect([error.code, error.retryable]).toEqual(["PROFILE_NOT_TAKEN", false])
    expect(error.message).toMatch(/CapDrop|ReadonlyRootfs/)
    expect(await rig.left()).toEqual([])
  })

  it("an engine that refuses is BACKEND_UNAVAILABLE, for every call", async () => {
    const started = await rig.start(bash("echo up; sleep 60"))
    await started.sink.untilText("stdout", "up")
    wire.refusing = true
    await started.interrupt()
    wire.cutAll()
    const { job, place } = started
    const effects: Effect.Effect<unknown, never>[] = [
      Effect.flip(rig.executor.create(rig.job(bash("true")))) as never,
      Effect.flip(
        rig.executor.stop({ ...job, taskId: "x" }, { ...place, containerId: "f".repeat(64) }, "kill"),
      ) as never,
      Effect.flip(rig.executor.remove(job, place)) as never,
      Effect.flip(rig.executor.pause(place)) as never,
      Effect.flip(rig.executor.places(["w"])) as never,
      Effect.flip(rig.executor.engineFacts) as never,
    ]
    for (const effect of effects) expect(await Effect.runPromise(effect)).toMatchObject({ code: "BACKEND_UNAVAILABLE" })
  })

  it("a container that somebody removes while it runs is lost; one that somebody kills is the program's end", async () => {
    const removed = await rig.start(bash("echo up; sleep 60"))
    await removed.sink.untilText("stdout", "up")
    await rig.docker.getContainer(removed.place.containerId ?? "").remove({ force: true })
    await expect(removed.exit).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" })
    const killed = await rig.start(bash("echo up; sleep 60"))
    await killed.sink.untilText("stdout", "up")
    await rig.docker.getContainer(killed.place.containerId ?? "").kill()
    expect(await killed.exit).toMatchObject({ status: "failed", reason: "signal", signal: "SIGKILL" })
  })

  it("a container that is removed between create and run is lost, and stopping what was never made is nothing", async () => {
    const job = rig.job(bash("echo ran"))
    const place = await rig.create(job)
    await rig.docker.getContainer(place.containerId ?? "").remove()
    const error = await failureOf(rig.executor.run(job, place, recordingSink()))
    expect([error.code, error.message]).toEqual(["BACKEND_UNAVAILABLE", expect.stringContaining("lost")])
    const unmade = { containerId: null, imageDigest: null, policy: null }
    await Effect.runPromise(rig.executor.stop(job, unmade, "cancel"))
    const started = await rig.start(bash("echo up; sleep 60"))
    await started.sink.untilText("stdout", "up")
    await Effect.runPromise(rig.executor.stop(started.job, unmade, "kill"))
    expect(await started.exit).toMatchObject({ status: "cancelled" })
  })

  it("an image that nobody serves is not found, in words, and does not hold the task for ever", async () => {
    const pulling = new Rig(engine, { pull: true })
    const jobs = [1, 2].map(() => pulling.job(imageProgram("localhost:1/berth-test-none:1", ["true"])))
    const errors = await Promise.all(jobs.map((job) => failureOf(pulling.executor.create(job))))
    for (const error of errors) expect([error.code, error.retryable]).toEqual(["IMAGE_NOT_FOUND", false])
    expect(await pulling.left()).toEqual([])
  })

  it("20 at once, cancelled at random: each has one end, and nothing is left", async () => {
    const ends = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const started = await rig.start(bash("echo up; sleep 0.2; exit 3"), { graceMs: 500 }, { slot: index })
        if (index % 3 === 0)
          await Effect.runPromise(rig.executor.stop(started.job, started.place, index % 2 === 0 ? "cancel" : "kill"))
        const { status } = await started.exit
        await rig.remove(started)
        return status
      }),
    )
    expect(ends.filter((status) => status === "cancelled").length).toBe(7)
    expect(ends.filter((status) => status === "failed").length).toBe(13)
    expect(await rig.left()).toEqual([])
  })

  afterAll(async () => {
    expect(await new Rig(engine).left()).toEqual([])
  })

  it("CR3: whoever is interrupted at any moment of a create leaves no container behind", async () => {
    const interrupted = async (delayMs: number): Promise<void> => {
      const job = rig.job(bash("true"))
      const making = Effect.runFork(rig.executor.create(job))
      await sleep(delayMs)
      await Effect.runPromise(Fiber.interrupt(making))
      // As the attempt does: what has a name by now is removed, and the engine may not have come to it yet.
      await Effect.runPromise(rig.executor.remove(job, { containerId: null, imageDigest: null, policy: null }))
    }
    await Promise.all(Array.from({ length: 60 }, (_, index) => interrupted(index * 10)))
    await vi.waitFor(async () => expect(await rig.left()).toEqual([]), { timeout: 20_000, interval: 100 })
  })
})
