import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { handlerExecutor, type Handlers } from "../../../../actors/executor/handler/index.ts"
import { BerthError } from "../../../../core/errors.ts"
import { LIMITS } from "../../../../core/limits.ts"
import type { Exit, StopMode } from "../../../../core/ports/executor.ts"
import type { Program, TaskSpec } from "../../../../core/task/spec.ts"
import { manualClock, settle } from "../../../support/clock.ts"
import { jobOf, type RecordingSink, recordingSink } from "../../../support/executorJob.ts"

const programOf = (handler: string, input: unknown = null): Program => ({ kind: "handler", handler, input })

const scene = async (handlers: Handlers, spec: Partial<TaskSpec> = {}, sink: RecordingSink = recordingSink()) => {
  const clock = manualClock()
  const executor = handlerExecutor({ handlers, clock })
  const job = jobOf(programOf(Object.keys(handlers)[0] ?? "none", { n: 20 }), "t1", spec)
  const place = await Effect.runPromise(executor.create(job))
  const start = (): Promise<Exit> => Effect.runPromise(executor.run(job, place, sink))
  const stop = (mode: StopMode): Promise<void> => Effect.runPromise(executor.stop(job, place, mode))
  return { clock, executor, job, place, sink, start, stop }
}

const refusal = async (promise: Promise<unknown>): Promise<BerthError> => {
  const thrown: unknown = await promise.then(
    () => new Error("it succeeded"),
    (cause: unknown) => cause,
  )
  if (thrown instanceof BerthError) return thrown
  throw thrown
}

/** A handler that ends only when the test says so, and heeds nothing. */
const deafHandler = () => {
  let finish: (value: unknown) => void = () => undefined
  const handler = () =>
    new Promise<unknown>((resolve) => {
      finish = resolve
    })
  return { handler, finish: (value: unknown) => finish(value) }
}

const heedful = (_input: unknown, { signal }: { signal: AbortSignal }): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))

describe("what does a handler's end become", () => {
  it("a returned value completes the task with it", async () => {
    const { start, sink } = await scene({ double: (input) => ({ twice: (input as { n: number }).n * 2 }) })
    expect(await start()).toMatchObject({
      status: "completed",
      reason: "handler_returned",
      value: { twice: 40 },
      exitCode: null,
    })
    expect(sink.begins()).toBe(1)
  })

  it("a promised value does too, and nothing returned is null", async () => {
    const { start } = await scene({ later: async () => undefined })
    expect(await start()).toMatchObject({ status: "completed", value: null })
  })

  it("a throw, at once or later, fails it with a bounded message", async () => {
    const thrower = (error: unknown) => () => {
      throw error
    }
    expect(await (await scene({ f: thrower(new TypeError("no such row")) })).start()).toMatchObject({
      status: "failed",
      reason: "handler_error",
      message: "TypeError: no such row",
    })
    const long = await (await scene({ f: async () => Promise.reject(new Error("ü".repeat(5_000))) })).start()
    expect(Buffer.byteLength(long.message ?? "")).toBeLessThanOrEqual(LIMITS.messageBytesMax)
    expect(long.message).not.toContain("�")
    const hostile = { toString: () => thrower(new Error("twice"))() }
    expect((await (await scene({ f: thrower(hostile) })).start()).status).toBe("failed")
  })

  it.each([
    ["too large", "x".repeat(LIMITS.resultValueBytesMax), "limit"],
    ["not finite", { deep: [Number.NaN] }, "finite"],
    ["a big integer", 12n, "JSON"],
    [
      "circular",
      (() => {
        const loop: Record<string, unknown> = {}
        loop["self"] = loop
        return loop
      })(),
      "JSON",
    ],
    ["too deep", JSON.parse("[".repeat(40) + "]".repeat(40)), "nested"],
    ["a forbidden key", JSON.parse('{"a":{"__proto__":1}}'), "__proto__"],
  ])("a value that is %s is refused as the handler's failure", async (_name, value, part) => {
    const exit = await (await scene({ f: () => value })).start()
    expect(exit).toMatchObject({ status: "failed", reason: "handler_error", value: null })
    expect(exit.message).toContain(part)
  })

  it("a value of exactly the limit is kept", async () => {
    const value = "x".repeat(LIMITS.resultValueBytesMax - 2)
    expect(await (await scene({ f: () => value })).start()).toMatchObject({ status: "completed", value })
  })

  it("a name that is not registered is refused for good, inherited names included", async () => {
    const executor = handlerExecutor({ handlers: {}, clock: manualClock() })
    for (const name of ["absent", "constructor", "__proto__"]) {
      const error = await refusal(Effect.runPromise(executor.create(jobOf(programOf(name)))))
      expect([error.code, error.retryable]).toEqual(["HANDLER_UNKNOWN", false])
    }
  })
})

describe("what does a stop do", () => {
  it.each([
    ["cancel", "cancelled", "cancelled"],
    ["deadline", "timeout", "deadline"],
    ["kill", "cancelled", "killed"],
  ] as const)("%s ends a heedful handler as %s, %s", async (mode, status, reason) => {
    const { start, stop, sink, executor } = await scene({ heedful })
    const ended = start()
    await sink.untilBegan
    await settle()
    await stop(mode)
    await stop(mode)
    expect(await ended).toMatchObject({ status, reason })
    expect(executor.lateCounts().givenUp).toBe(mode === "kill" ? 1 : 0)
  })

  it("H3: a deaf handler is given up after the grace, not before, and its late result counts for nothing", async () => {
    const { handler, finish } = deafHandler()
    const { clock, start, stop, executor } = await scene({ handler }, { graceMs: 500 })
    let exit: Exit | null = null
    const ended = start().then((value) => {
      exit = value
    })
    await settle()
    await stop("deadline")
    await clock.advance(499)
    expect(exit).toBeNull()
    await clock.advance(1)
    await ended
    expect(exit).toMatchObject({ status: "timeout", reason: "deadline" })
    expect(executor.lateCounts()).toEqual({ givenUp: 1, lateResults: 0 })
    finish("late")
    await settle()
    expect(executor.lateCounts()).toEqual({ givenUp: 1, lateResults: 1 })
  })

  it("a kill does not wait for the grace of an earlier cancel", async () => {
    const { start, stop } = await scene({ handler: deafHandler().handler }, { graceMs: 60_000 })
    const ended = start()
    await settle()
    await stop("cancel")
    await stop("kill")
    expect(await ended).toMatchObject({ status: "cancelled", reason: "killed" })
  })

  it("H2: a handler that returns after a cancel was cancelled all the same", async () => {
    const { handler, finish } = deafHandler()
    const { start, stop } = await scene({ handler })
    const ended = start()
    await settle()
    await stop("cancel")
    finish("done")
    expect(await ended).toMatchObject({ status: "cancelled", value: null })
  })

  it("H4: a handler that was stopped before it began never begins", async () => {
    let calls = 0
    const { start, stop, sink } = await scene({ f: () => calls++ })
    await stop("cancel")
    expect(await start()).toMatchObject({ status: "cancelled", wallMs: null })
    expect([calls, sink.begins()]).toEqual([0, 0])
  })

  it("H1: a stop after the end changes nothing", async () => {
    const { start, stop } = await scene({ f: () => 1 })
    const exit = await start()
    await stop("kill")
    expect(exit.status).toBe("completed")
    expect(await start()).toEqual(exit)
  })

  it("a signal that is first looked at after the stop is aborted already", async () => {
    let seen: boolean | null = null
    const { handler, finish } = deafHandler()
    const { start, stop } = await scene({
      f: async (input, context) => {
        await handler()
        seen = context.signal.aborted
      },
    })
    const ended = start()
    await settle()
    await stop("cancel")
    finish(null)
    await ended
    expect(seen).toBe(true)
  })

  it("EX2: interrupting the run stops nothing by itself", async () => {
    let aborted = false
    const { executor, job, place, sink } = await scene({
      f: (_input, { signal }) => {
        signal.addEventListener("abort", () => {
          aborted = true
        })
        return new Promise(() => undefined)
      },
    })
    const fiber = Effect.runFork(executor.run(job, place, sink))
    await sink.untilBegan
    await settle()
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect(aborted).toBe(false)
    await Effect.runPromise(executor.remove(job, place))
    expect(aborted).toBe(true)
    await Effect.runPromise(executor.remove(job, place))
  })
})

describe("what of the fence, adoption and silence", () => {
  it.each(["pause", "detach"] as const)("%s aborts, and the attempt is lost, not ended", async (what) => {
    const { executor, job, place, start } = await scene({ heedful })
    const ended = refusal(start())
    await settle()
    await Effect.runPromise(what === "pause" ? executor.pause(place) : executor.detach(job, place))
    expect((await ended).retryable).toBe(true)
  })

  it("a handler cannot be adopted: it is lost, retryable", async () => {
    const { executor, job, place, sink } = await scene({ f: () => 1 })
    const error = await refusal(Effect.runPromise(executor.adopt(job, place, sink, { stdout: 0, stderr: 0 })))
    expect(error.retryable).toBe(true)
    expect(await Effect.runPromise(executor.places(["w"]))).toEqual([])
  })

  it("silence beyond the heartbeat limit fails the attempt, and beats keep it alive", async () => {
    let beat = (): void => undefined
    const run = (_input: unknown, context: { signal: AbortSignal; heartbeat: () => void }): Promise<never> => {
      beat = context.heartbeat
      return heedful(null, context)
    }
    const { clock, start } = await scene({ f: { run, heartbeatMsMax: 100 } })
    let exit: Exit | null = null
    const ended = start().then((value) => {
      exit = value
    })
    await settle()
    for (let round = 0; round < 5; round++) {
      await clock.advance(90)
      beat()
    }
    expect(exit).toBeNull()
    await clock.advance(100)
    await ended
    expect(exit).toMatchObject({ status: "failed", reason: "handler_error", message: "no heartbeat for 100 ms" })
    expect(clock.armed()).toBe(0)
  })
})

describe("what does a handler's talk become", () => {
  it("lines and progress reach the sink in order before the end is told", async () => {
    const { start, sink } = await scene({
      f: async (_input, { log, progress, taskId, attempt, epoch }) => {
        log("first")
        progress({ done: 1 })
        await settle(1)
        log(`${taskId} ${attempt} ${epoch}`)
        progress({ done: 2 })
      },
    })
    await start()
    expect(sink.text("stdout")).toBe("first\nt1 1 1\n")
    expect(sink.progresses).toEqual([{ done: 1 }, { done: 2 }])
  })

  it("what a blocked sink cannot take is counted as a gap, and the stream goes on after it", async () => {
    let open = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const line = "x".repeat(1_023)
    const { start, sink } = await scene(
      {
        f: async (_input, { log }) => {
          log("begin")
          await settle()
          for (let count = 0; count < 1_500; count++) log(line)
          open()
          await settle(200)
          log("end")
        },
      },
      {},
      recordingSink({ beforeWrite: Effect.promise(() => gate) }),
    )
    await start()
    expect(sink.losses).toEqual([{ stream: "stdout", offset: 6 + 1_024 * 1_024, bytes: (1_500 - 1_024) * 1_024 }])
    expect(sink.text("stdout").startsWith("begin\n")).toBe(true)
    expect(sink.text("stdout").endsWith("\nend\n")).toBe(true)
  })

  it("one line larger than a chunk is cut into chunks, exact", async () => {
    const line = "é".repeat(100_000)
    const { start, sink } = await scene({ f: (_input, { log }) => log(line) })
    await start()
    expect(sink.text("stdout")).toBe(`${line}\n`)
  })

  it("progress that is too large throws in the handler, where it can be seen", async () => {
    const { start, sink } = await scene({ f: (_input, { progress }) => progress("x".repeat(70_000)) })
    expect(await start()).toMatchObject({ status: "failed", reason: "handler_error" })
    expect(sink.progresses).toEqual([])
  })
})
