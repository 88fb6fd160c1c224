import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { Exit } from "../../../../core/ports/executor.ts"
import { settle } from "../../../support/clock.ts"
import { handlerScene, heedful, refusal } from "../../../support/handlerScene.ts"

describe("what of the fence, adoption and silence", () => {
  it.each(["pause", "detach"] as const)("%s aborts, and the attempt is lost, not ended", async (what) => {
    const { executor, job, place, start } = await handlerScene({ heedful })
    const ended = refusal(start())
    await settle()
    await Effect.runPromise(what === "pause" ? executor.pause(place) : executor.detach(job, place))
    expect((await ended).retryable).toBe(true)
  })

  it("a handler cannot be adopted: it is lost, retryable", async () => {
    const { executor, job, place, sink } = await handlerScene({ f: () => 1 })
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
    const { clock, start } = await handlerScene({ f: { run, heartbeatMsMax: 100 } })
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
