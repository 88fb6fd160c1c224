import { Effect, Fiber } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Bulkhead, type BulkheadLimits } from "../../../../actors/executor/stack/bulkhead.ts"
import { manualClock, settle } from "../../../support/clock.ts"
import { pendingCall } from "../../../support/engineCall.ts"

const scene = (limits: Partial<BulkheadLimits> = {}) => {
  const clock = manualClock()
  const bulkhead = new Bulkhead("slots", { slots: 2, waitingMax: 3, waitMsMax: 1_000, ...limits }, clock)
  const enter = () => {
    const call = pendingCall()
    return { call, fiber: Effect.runFork(bulkhead.hold(call.run)) }
  }
  return { clock, bulkhead, enter }
}

describe("the bulkhead", () => {
  it("L1: lets in as many as there are slots, lines up the next, and refuses the one after with OVERLOADED", async () => {
    const { bulkhead, enter } = scene()
    const all = Array.from({ length: 5 }, enter)
    expect(all.map(({ call }) => call.begun())).toEqual([1, 1, 0, 0, 0])
    expect([bulkhead.inUse(), bulkhead.waiting()]).toEqual([2, 3])
    const error = await Effect.runPromise(Effect.flip(bulkhead.hold(Effect.never)))
    expect(error).toMatchObject({ code: "OVERLOADED", retryable: true })
  })

  it("L1: first come, first served", async () => {
    const { enter } = scene({ slots: 1 })
    const [first, second, third] = [enter(), enter(), enter()]
    first.call.end("ok")
    await settle()
    expect([second.call.begun(), third.call.begun()]).toEqual([1, 0])
    second.call.end("unavailable")
    await settle()
    expect(third.call.begun()).toBe(1)
  })

  it("L2: only the wait is timed", async () => {
    const { clock, bulkhead, enter } = scene({ slots: 1 })
    const runs = enter()
    const waits = enter()
    await clock.advance(999)
    expect(waits.fiber.pollUnsafe()).toBeUndefined()
    await clock.advance(1)
    expect(await Effect.runPromise(Effect.flip(Fiber.join(waits.fiber)))).toMatchObject({ code: "OVERLOADED" })
    await clock.advance(1_000_000)
    expect(runs.fiber.pollUnsafe()).toBeUndefined()
    expect([bulkhead.inUse(), bulkhead.waiting(), clock.armed()]).toEqual([1, 0, 0])
  })

  it("L4: whoever is interrupted in the line never runs, and the next one moves up", async () => {
    const { bulkhead, enter } = scene({ slots: 1 })
    const [first, second, third] = [enter(), enter(), enter()]
    await Effect.runPromise(Fiber.interrupt(second.fiber))
    first.call.end("ok")
    await settle()
    expect([second.call.begun(), third.call.begun()]).toEqual([0, 1])
    expect([bulkhead.inUse(), bulkhead.waiting()]).toEqual([1, 0])
  })

  it("L4: a slot that arrives together with the interrupt is passed on", async () => {
    const { bulkhead, enter } = scene({ slots: 1 })
    const [first, second, third] = [enter(), enter(), enter()]
    first.call.end("ok")
    second.fiber.interruptUnsafe()
    await settle()
    expect(third.call.begun()).toBe(1)
    expect(bulkhead.inUse()).toBe(1)
  })

  it("L3: no slot leaks, whatever happens in whatever order", async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant("enter" as const) },
      { weight: 2, arbitrary: fc.constantFrom("ok" as const, "unavailable" as const, "defect" as const) },
      { weight: 3, arbitrary: fc.constant("interrupt" as const) },
      { weight: 1, arbitrary: fc.constant("elapse" as const) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(step, fc.nat()), { maxLength: 60 }), async (steps) => {
        const { clock, bulkhead, enter } = scene()
        const entered: ReturnType<typeof enter>[] = []
        for (const [what, pick] of steps) {
          const one = entered[pick % Math.max(1, entered.length)]
          if (what === "enter") entered.push(enter())
          else if (what === "elapse") await clock.advance(400)
          else if (what === "interrupt") one?.fiber.interruptUnsafe()
          else one?.call.end(what)
          const running = entered.filter(({ call, fiber }) => call.begun() === 1 && fiber.pollUnsafe() === undefined)
          expect(running.length).toBeLessThanOrEqual(2)
          expect(bulkhead.waiting()).toBeLessThanOrEqual(3)
        }
        for (const { fiber } of entered) await Effect.runPromise(Fiber.interrupt(fiber))
        expect([bulkhead.inUse(), bulkhead.waiting(), clock.armed()]).toEqual([0, 0, 0])
        const again = [enter(), enter()]
        expect(again.map(({ call }) => call.begun())).toEqual([1, 1])
      }),
      { numRuns: 60 },
    )
  })
})
