import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { deadline } from "../../../../actors/executor/stack/deadline.ts"
import { direct } from "../../../../actors/executor/stack/layer.ts"
import { manualClock, settle } from "../../../support/clock.ts"
import { callOf, pendingCall } from "../../../support/engineCall.ts"

const scene = () => {
  const clock = manualClock()
  return { clock, guard: deadline(clock)(direct) }
}

describe("the deadline", () => {
  it("passes an answer and a refusal through, and leaves no timer", async () => {
    const { clock, guard } = scene()
    expect(await Effect.runPromise(guard(callOf(), Effect.succeed(1)))).toBe(1)
    const call = pendingCall()
    const failed = Effect.runPromise(Effect.flip(guard(callOf(), call.run)))
    call.end("refused")
    expect((await failed).code).toBe("IMAGE_REFUSED")
    expect(clock.armed()).toBe(0)
  })

  it("fails with BACKEND_UNAVAILABLE when it passes, and interrupts the call", async () => {
    const { clock, guard } = scene()
    const call = pendingCall()
    const failed = Effect.runPromise(Effect.flip(guard(callOf({ deadlineMs: 100 }), call.run)))
    await clock.advance(99)
    expect(call.interrupted()).toBe(0)
    await clock.advance(1)
    expect(await failed).toMatchObject({ code: "BACKEND_UNAVAILABLE", message: "inspect: no answer within 100 ms" })
    expect(call.interrupted()).toBe(1)
  })

  it("answers in time even where the call heeds no interruption", async () => {
    const { clock, guard } = scene()
    const failed = Effect.runPromise(
      Effect.flip(guard(callOf({ deadlineMs: 100 }), Effect.uninterruptible(Effect.never))),
    )
    await clock.advance(100)
    expect((await failed).code).toBe("BACKEND_UNAVAILABLE")
  })

  it("a caller that is interrupted ends the call, and waits for its end but not beyond the deadline", async () => {
    const { clock, guard } = scene()
    const heedful = pendingCall()
    const first = Effect.runFork(guard(callOf(), heedful.run))
    await Effect.runPromise(Fiber.interrupt(first))
    expect(heedful.interrupted()).toBe(1)
    expect(clock.armed()).toBe(0)

    const deaf = Effect.runFork(guard(callOf({ deadlineMs: 100 }), Effect.uninterruptible(Effect.never)))
    deaf.interruptUnsafe()
    await clock.advance(99)
    expect(deaf.pollUnsafe()).toBeUndefined()
    await clock.advance(1)
    expect(deaf.pollUnsafe()).toBeDefined()
  })

  it("a stream has none", async () => {
    const { clock, guard } = scene()
    const call = pendingCall()
    const fiber = Effect.runFork(guard(callOf({ deadlineMs: Number.POSITIVE_INFINITY }), call.run))
    await clock.advance(1e9)
    expect(fiber.pollUnsafe()).toBeUndefined()
    call.end("ok")
    await settle()
    expect(await Effect.runPromise(Fiber.join(fiber))).toBe("ok")
  })

  it("a call that was interrupted before it began never runs", async () => {
    const { guard } = scene()
    let begun = 0
    const late = Effect.andThen(
      Effect.uninterruptible(Effect.promise(() => settle())),
      guard(
        callOf(),
        Effect.sync(() => begun++),
      ),
    )
    await Effect.runPromise(Fiber.interrupt(Effect.runFork(late)))
    expect(begun).toBe(0)
  })
})
