import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import type { Exit } from "../../../../core/ports/executor.ts"
import { settle } from "../../../support/clock.ts"
import { deafHandler, handlerScene, heedful } from "../../../support/handlerScene.ts"

describe("what does a stop do", () => {
  it.each([
    ["cancel", "cancelled", "cancelled"],
    ["deadline", "timeout", "deadline"],
    ["kill", "cancelled", "killed"],
  ] as const)("%s ends a heedful handler as %s, %s", async (mode, status, reason) => {
    const { start, stop, sink, executor } = await handlerScene({ heedful })
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
    const { clock, start, stop, executor } = await handlerScene({ handler }, { graceMs: 500 })
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
    const { start, stop } = await handlerScene({ handler: deafHandler().handler }, { graceMs: 60_000 })
    const ended = start()
    await settle()
    await stop("cancel")
    await stop("kill")
    expect(await ended).toMatchObject({ status: "cancelled", reason: "killed" })
  })

  it("H2: a handler that returns after a cancel was cancelled all the same", async () => {
    const { handler, finish } = deafHandler()
    const { start, stop } = await handlerScene({ handler })
    const ended = start()
    await settle()
    await stop("cancel")
    finish("done")
    expect(await ended).toMatchObject({ status: "cancelled", value: null })
  })

  it("H4: a handler that was stopped before it began never begins", async () => {
    let calls = 0
    const { start, stop, sink } = await handlerScene({ f: () => calls++ })
    await stop("cancel")
    expect(await start()).toMatchObject({ status: "cancelled", wallMs: null })
    expect([calls, sink.begins()]).toEqual([0, 0])
  })

  it("H1: a stop after the end changes nothing", async () => {
    const { start, stop } = await handlerScene({ f: () => 1 })
    const exit = await start()
    await stop("kill")
    expect(exit.status).toBe("completed")
    expect(await start()).toEqual(exit)
  })

  it("a signal that is first looked at after the stop is aborted already", async () => {
    let seen: boolean | null = null
    const { handler, finish } = deafHandler()
    const { start, stop } = await handlerScene({
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
    const { executor, job, place, sink } = await handlerScene({
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
