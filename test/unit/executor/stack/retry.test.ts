import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { direct } from "../../../../actors/executor/stack/layer.ts"
import { retryIfSafe } from "../../../../actors/executor/stack/retry.ts"
import { SharedRetryBudget } from "../../../../actors/executor/stack/retryBudget.ts"
import { manualClock, settle } from "../../../support/clock.ts"
import { callOf, ending, type HowItEnds } from "../../../support/engineCall.ts"

const scene = (options: { readonly mayRepeat?: () => boolean; readonly repeatsPerSecondMin?: number } = {}) => {
  const clock = manualClock()
  const budget = new SharedRetryBudget(
    { windowMs: 10_000, repeatRatio: 0.2, repeatsPerSecondMin: options.repeatsPerSecondMin ?? 10 },
    clock,
  )
  const jitters: number[] = []
  const guard = retryIfSafe({
    policy: { maxAttempts: 3, delayMsInitial: 100, delayMsMax: 1_000, factor: 2 },
    budget,
    clock,
    random: { next01: () => jitters.shift() ?? 0.5, id: () => "" },
    mayRepeat: options.mayRepeat ?? (() => true),
  })(direct)
  /** A call that ends as listed, one after the other. */
  const calling = (hows: HowItEnds[], repeatable = true) => {
    let begun = 0
    const run = Effect.suspend(() => ending(hows[begun++] ?? "ok"))
    const fiber = Effect.runFork(guard(callOf({ repeatable }), run))
    return { begun: () => begun, fiber, result: Effect.runPromise(Effect.result(Fiber.join(fiber))) }
  }
  return { clock, budget, jitters, calling }
}

describe("which calls are made again", () => {
  it("a repeatable one after BACKEND_UNAVAILABLE, after a delay that chance decides", async () => {
    const { clock, jitters, calling } = scene()
    jitters.push(0.25, 0.5)
    const call = calling(["unavailable", "unavailable", "ok"])
    await clock.advance(24)
    expect(call.begun()).toBe(1)
    await clock.advance(1)
    expect(call.begun()).toBe(2)
    await clock.advance(99)
    expect(call.begun()).toBe(2)
    await clock.advance(1)
    expect(call.begun()).toBe(3)
    expect((await call.result)._tag).toBe("Success")
  })

  it("only so often", async () => {
    const { clock, calling } = scene()
    const call = calling(["unavailable", "unavailable", "unavailable", "ok"])
    await clock.advance(10_000)
    expect([call.begun(), (await call.result)._tag]).toEqual([3, "Failure"])
  })

  it.each([
    ["not repeatable", ["unavailable"], false],
    ["refused by the engine", ["refused"], true],
    ["ended by a defect", ["defect"], true],
  ] as const)("never one that is %s", async (_why, hows, repeatable) => {
    const { clock, calling } = scene()
    const call = calling([...hows], repeatable)
    call.result.catch(() => undefined)
    await clock.advance(10_000)
    expect(call.begun()).toBe(1)
  })

  it("none while the backend is left alone", async () => {
    const { clock, calling } = scene({ mayRepeat: () => false })
    const call = calling(["unavailable"])
    await clock.advance(10_000)
    expect(call.begun()).toBe(1)
  })

  it("an interrupt during the delay ends it", async () => {
    const { clock, calling } = scene()
    const call = calling(["unavailable"])
    call.result.catch(() => undefined)
    await settle()
    await Effect.runPromise(Fiber.interrupt(call.fiber))
    await clock.advance(10_000)
    expect([call.begun(), clock.armed()]).toEqual([1, 0])
  })

  it("not beyond the budget of the process: a fifth of its calls and the reserve", async () => {
    const { clock, budget, calling } = scene({ repeatsPerSecondMin: 1 })
    const all = Array.from({ length: 100 }, () => calling(["unavailable", "unavailable", "unavailable"]))
    await clock.advance(5_000)
    const repeats = all.reduce((sum, call) => sum + call.begun() - 1, 0)
    expect(repeats).toBe(10 + 20)
    expect(budget.balance()).toBe(0)
    await clock.advance(10_000)
    expect(budget.balance()).toBe(10)
  })
})
