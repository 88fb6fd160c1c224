import { Effect, Fiber } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Exit, ExecutorShape, Job, Placement } from "../../core/ports/executor.ts"
import type { Artifact } from "../../core/task/result.ts"
import type { Program, TaskSpec } from "../../core/task/spec.ts"
import { jobOf, type RecordingSink, recordingSink } from "../support/executorJob.ts"

/** What the contract's programs do, each in its executor's own way. */
export type Behaviour =
  /** Prints `out`, and ends well. */
  | "quick"
  /** Leaves `out/a.txt` with the text `kept`, where it can; ends well. */
  | "file"
  /** Prints `line 0` to `line 49` within a second or so, and ends well. */
  | "lines"
  /** Prints `ready`, waits for a stop, prints `bye`, and ends. */
  | "polite"
  /** Prints `ready`, and ends only when it is forced. */
  | "deaf"

export interface ExecutorTraits {
  readonly name: string
  readonly open: () => Promise<{
    readonly executor: ExecutorShape
    /** A later process that meets the same backend, and knows nothing that the first one held in memory. */
    readonly successor: ExecutorShape
    /** Places that the backend has now, of whatever executor; a number that must be 0 after the suite. */
    readonly left: () => Promise<number>
    readonly close: () => Promise<void>
  }>
  readonly programOf: (behaviour: Behaviour) => Program
  /** False where nothing outlives the process: then a place can be neither held nor adopted, only lost. */
  readonly outlives: boolean
}

const WHOLE = Array.from({ length: 50 }, (_, index) => `line ${index}\n`).join("")

export const executorContract = (traits: ExecutorTraits): void => {
  describe(`Executor contract: ${traits.name}`, () => {
    let backend: Awaited<ReturnType<ExecutorTraits["open"]>>
    let tasks = 0
    beforeAll(async () => {
      backend = await traits.open()
    })
    afterAll(async () => {
      const left = await backend.left()
      await backend.close()
      expect(left).toBe(0)
    })

    const made = async (behaviour: Behaviour, spec: Partial<TaskSpec> = {}) => {
      const job = jobOf(traits.programOf(behaviour), `contract-${traits.name}-${process.pid}-${tasks++}`, spec)
      const place = await Effect.runPromise(backend.executor.create(job))
      return { job, place, sink: recordingSink() }
    }
    type Made = Awaited<ReturnType<typeof made>>
    const run = ({ job, place, sink }: Made): Promise<Exit> => Effect.runPromise(backend.executor.run(job, place, sink))
    const adopt = ({ job, place }: Made, sink: RecordingSink, from: number) =>
      backend.successor.adopt({ ...job, epoch: 2 }, place, sink, { stdout: from, stderr: 0 })
    const remove = (what: { job: Job; place: Placement }): Promise<void> =>
      Effect.runPromise(backend.executor.remove(what.job, what.place))
    const stopped = async (what: Made, mode: "cancel" | "kill" | "deadline", spec?: "twice"): Promise<Exit> => {
      const ended = run(what)
      await what.sink.untilText("stdout", "ready")
      await Effect.runPromise(backend.executor.stop(what.job, what.place, mode))
      if (spec === "twice") await Effect.runPromise(backend.executor.stop(what.job, what.place, mode))
      return ended
    }
    /** Begun by one process, which then goes away without a word. */
    const orphaned = async (behaviour: Behaviour, until: string, spec: Partial<TaskSpec> = {}) => {
      const it = await made(behaviour, spec)
      const fiber = Effect.runFork(backend.executor.run(it.job, it.place, it.sink))
      await it.sink.untilText("stdout", until)
      await Effect.runPromise(Fiber.interrupt(fiber))
      return it
    }

    it("EX1 create makes a place and starts nothing", async () => {
      const it = await made("quick")
      const places = await Effect.runPromise(backend.executor.places(["w"]))
      expect(places.filter((place) => place.running)).toEqual([])
      expect(it.place.containerId === null).toBe(!traits.outlives)
      expect((await run(it)).status).toBe("completed")
      expect(it.sink.text("stdout")).toBe("out\n")
      await remove(it)
    })

    it("EX2 run returns after the program ended and all its output is with the sink", async () => {
      const it = await made("lines")
      expect(await run(it)).toMatchObject({ status: "completed" })
      expect([it.sink.begins(), it.sink.text("stdout"), it.sink.losses]).toEqual([1, WHOLE, []])
      await remove(it)
    })

    it("EX2 interrupting it stops nothing by itself", async () => {
      const it = await orphaned("polite", "ready")
      if (traits.outlives) {
        const heir = recordingSink()
        const ended = Effect.runPromise(adopt(it, heir, 0))
        await heir.untilText("stdout", "ready")
        await Effect.runPromise(backend.successor.stop(it.job, it.place, "cancel"))
        expect((await ended).status).toBe("cancelled")
        expect(heir.text("stdout")).toBe("ready\nbye\n")
      } else {
        await Effect.runPromise(backend.executor.stop(it.job, it.place, "cancel"))
        expect((await run(it)).status).toBe("cancelled")
      }
      await remove(it)
    })

    it.each([
      ["cancel", "cancelled", "cancelled"],
      ["deadline", "timeout", "deadline"],
    ] as const)("EX3 %s asks first, once, and run returns", async (mode, status, reason) => {
      const it = await made("polite", { graceMs: 30_000 })
      expect(await stopped(it, mode, "twice")).toMatchObject({ status, reason })
      expect(it.sink.text("stdout")).toBe("ready\nbye\n")
      await remove(it)
    })

    it("EX3 a program that does not heed it is ended after the grace, and a kill is at once", async () => {
      const deaf = await made("deaf", { graceMs: 100 })
      expect(await stopped(deaf, "cancel")).toMatchObject({ status: "cancelled", reason: "cancelled" })
      await remove(deaf)
      const killed = await made("deaf", { graceMs: 60_000 })
      expect(await stopped(killed, "kill")).toMatchObject({ status: "cancelled", reason: "killed" })
      await remove(killed)
    })

    it("EX3 a stop before the start runs nothing", async () => {
      const it = await made("quick")
      await Effect.runPromise(backend.executor.stop(it.job, it.place, "cancel"))
      expect(await run(it)).toMatchObject({ status: "cancelled" })
      expect(it.sink.text("stdout")).toBe("")
      await remove(it)
    })

    it("EX4 a successor continues the output from any offset, exactly once, and gets the end", async () => {
      const it = await orphaned("lines", "line 9\n")
      const heir = recordingSink({ from: 0 })
      const from = 21
      const sink = { ...heir, write: shifted(heir, from) }
      if (traits.outlives) {
        expect(await Effect.runPromise(adopt(it, sink, from))).toMatchObject({ status: "completed" })
        expect(heir.text("stdout")).toBe(WHOLE.slice(from))
      } else {
        const error = await Effect.runPromise(Effect.flip(adopt(it, sink, from)))
        expect(error.retryable).toBe(true)
      }
      await remove(it)
    })

    it("EX5 files can be collected after the run, while the place exists", async () => {
      const it = await made("file", { artifacts: true })
      expect((await run(it)).status).toBe("completed")
      const keep = (path: string, bytes: Uint8Array) =>
        Effect.succeed<Artifact>({
          path,
          sizeBytes: bytes.length,
          sha256: Buffer.from(bytes).toString(),
          blobKey: path,
        })
      const { artifacts, missing } = await Effect.runPromise(backend.executor.collect(it.job, it.place, keep))
      expect(missing).toBeNull()
      const text = artifacts.map(({ path, sha256 }) => `${path}: ${sha256}`)
      expect(text).toEqual(traits.outlives ? ["a.txt: kept"] : [])
      await remove(it)
    })

    it("EX6 remove leaves nothing, whatever the state, and twice is no error", async () => {
      const idle = await made("quick")
      await remove(idle)
      await remove(idle)
      const running = await made("deaf", { graceMs: 60_000 })
      const ended = Effect.runPromise(Effect.exit(backend.executor.run(running.job, running.place, running.sink)))
      await running.sink.untilText("stdout", "ready")
      await remove(running)
      await remove(running)
      await ended
      const ids = (await Effect.runPromise(backend.executor.places(null))).map((place) => place.containerId)
      expect(ids).not.toContain(running.place.containerId)
      expect(ids).not.toContain(idle.place.containerId)
    })

    it("EX7 a program that was held goes on as if nothing had been; one that cannot be held is lost", async () => {
      const it = await made("lines")
      const ended = Effect.runPromise(Effect.result(backend.executor.run(it.job, it.place, it.sink)))
      await it.sink.untilText("stdout", "line 4\n")
      expect(await Effect.runPromise(backend.executor.pause(it.place))).toBe(true)
      expect(await Effect.runPromise(backend.executor.pause(it.place))).toBe(true)
      await Effect.runPromise(backend.executor.unpause(it.place))
      const result = await ended
      expect(result._tag).toBe(traits.outlives ? "Success" : "Failure")
      if (result._tag === "Failure") expect(result.failure.retryable).toBe(true)
      else expect(it.sink.text("stdout")).toBe(WHOLE)
      await remove(it)
    })

    it("EX7 a place where nothing runs yet cannot be held, and says so: what is started there later runs", async () => {
      const it = await made("lines")
      expect(await Effect.runPromise(backend.executor.pause(it.place))).toBe(!traits.outlives)
      await remove(it)
    })

    it("EX8 a place that was let go of is not harmed, and its successor finds it", async () => {
      const it = await orphaned("lines", "line 2\n")
      await Effect.runPromise(backend.executor.detach(it.job, it.place))
      if (traits.outlives) {
        const ids = (await Effect.runPromise(backend.successor.places(["w"]))).map((place) => place.containerId)
        expect(ids).toContain(it.place.containerId)
        const heir = recordingSink()
        expect((await Effect.runPromise(adopt(it, heir, 0))).status).toBe("completed")
        expect(heir.text("stdout")).toBe(WHOLE)
      } else {
        expect((await Effect.runPromise(Effect.flip(backend.executor.run(it.job, it.place, it.sink)))).retryable).toBe(
          true,
        )
      }
      await remove(it)
    })

    it("EX9 the time limit holds also while nobody is there", async () => {
      const it = await orphaned("deaf", "ready", { timeoutMs: 300, graceMs: 100 })
      await Effect.runPromise(backend.executor.detach(it.job, it.place))
      const heir = recordingSink()
      const result = await Effect.runPromise(Effect.result(adopt(it, heir, 0)))
      if (traits.outlives) expect(result).toMatchObject({ success: { status: "timeout", reason: "deadline" } })
      else expect(result._tag).toBe("Failure")
      await remove(it)
    })
  })
}

/** A sink that knows nothing of the first bytes checks the order of the others all the same. */
const shifted =
  (sink: RecordingSink, from: number): RecordingSink["write"] =>
  (stream, offset, bytes) =>
    sink.write(stream, offset - from, bytes)
