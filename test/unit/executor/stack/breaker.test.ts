import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { Breaker, type BreakerChange } from "../../../../actors/executor/stack/breaker.ts"
import { direct } from "../../../../actors/executor/stack/layer.ts"
import { BREAKER_LIMITS, type BreakerLimits } from "../../../../core/policy/breaker.ts"
import { manualClock, seededRandom, settle } from "../../../support/clock.ts"
import { callOf, ending, type HowItEnds, pendingCall, unavailable } from "../../../support/engineCall.ts"

const scene = (limits: Partial<BreakerLimits> = {}) => {
  const clock = manualClock()
  const breaker = new Breaker({
    backend: "engine",
    limits: { ...BREAKER_LIMITS, ...limits },
    clock,
    random: { ...seededRandom(1), next01: () => 0.999 },
  })
  const changes: BreakerChange[] = []
  breaker.onChange((change) => changes.push(change))
  const guard = breaker.layer(direct)
  const call = (how: HowItEnds) => Effect.runPromise(Effect.exit(guard(callOf(), ending(how))))
  const calls = async (count: number, how: HowItEnds) => {
    for (let index = 0; index < count; index++) await call(how)
  }
  const open = async () => {
    await calls(limits.consecutiveFailuresMax ?? BREAKER_LIMITS.consecutiveFailuresMax, "unavailable")
    expect(breaker.view().state).toBe("open")
  }
  return { clock, breaker, changes, guard, call, calls, open }
}

describe("what opens it", () => {
  it("so many failures in a row, and not one fewer", async () => {
    const { breaker, calls } = scene()
    await calls(4, "unavailable")
    expect(breaker.view().state).toBe("closed")
    await calls(1, "unavailable")
    expect(breaker.view()).toMatchObject({ state: "open", openedTotal: 1, lastFailure: "connect ECONNREFUSED" })
  })

  it("a share of failures in the window, without a row of them", async () => {
    const { breaker, calls } = scene()
    for (let round = 0; round < 9; round++) {
      await calls(1, "unavailable")
      await calls(1, "ok")
    }
    expect(breaker.view().state).toBe("closed")
    await calls(1, "ok")
    await calls(1, "unavailable")
    expect(breaker.view().state).toBe("open")
  })

  it("failures that have left the window count no more", async () => {
    const { breaker, calls, clock } = scene({ consecutiveFailuresMax: 1_000 })
    await calls(19, "unavailable")
    await clock.advance(10_001)
    await calls(1, "unavailable")
    expect(breaker.view().state).toBe("closed")
  })

  it.each(["refused", "defect"] as const)("never a call that ends with: %s", async (how) => {
    const { breaker, calls } = scene()
    await calls(100, how)
    expect(breaker.view()).toMatchObject({ state: "closed", lastFailure: null })
  })

  it("never an interrupt", async () => {
    const { breaker, guard } = scene()
    for (let round = 0; round < 50; round++) {
      const fiber = Effect.runFork(guard(callOf(), pendingCall().run))
      await Effect.runPromise(Fiber.interrupt(fiber))
    }
    expect(breaker.view().state).toBe("closed")
  })
})

describe("what it does while open", () => {
  it("K3: rejects without a call, with one and the same error, and counts", async () => {
    const { breaker, guard, open } = scene()
    await open()
    let begun = 0
    const run = Effect.sync(() => begun++)
    const errors = await Promise.all(
      Array.from({ length: 100 }, () => Effect.runPromise(Effect.flip(guard(callOf(), run)))),
    )
    expect(begun).toBe(0)
    expect(new Set(errors).size).toBe(1)
    expect(errors[0]?.code).toBe("BACKEND_UNAVAILABLE")
    expect(errors[0]?.message).toContain("connect ECONNREFUSED")
    expect(breaker.view().rejectedTotal).toBe(100)
  })

  it("rests longer with each opening in a row, up to the limit, and starts anew once it was closed", async () => {
    const { breaker, clock, call, calls, open } = scene()
    await open()
    const rests: number[] = []
    for (let round = 0; round < 7; round++) {
      const restMs = breaker.view().retryInMs ?? 0
      rests.push(Math.round(restMs / 1_000))
      await clock.advance(restMs)
      await call("unavailable")
    }
    expect(rests).toEqual([1, 2, 4, 8, 16, 30, 30])
    await clock.advance(30_000)
    await calls(3, "ok")
    expect(breaker.view().state).toBe("closed")
    await open()
    expect(Math.round((breaker.view().retryInMs ?? 0) / 1_000)).toBe(1)
  })

  it("ignores the late results of calls that began before it opened", async () => {
    const { breaker, guard, open, clock } = scene()
    const late = [pendingCall(), pendingCall(), pendingCall()]
    for (const call of late) Effect.runFork(Effect.exit(guard(callOf(), call.run)))
    await open()
    await clock.advance(1_000)
    const probe = pendingCall()
    Effect.runFork(Effect.exit(guard(callOf(), probe.run)))
    expect(breaker.view().state).toBe("half-open")
    for (const call of late) call.end("ok")
    expect(breaker.view().state).toBe("half-open")
    probe.end("ok")
    expect(breaker.view().state).toBe("half-open")
  })
})

describe("what settles a probe", () => {
  const halfOpen = async (limits: Partial<BreakerLimits> = {}) => {
    const it = scene(limits)
    await it.open()
    await it.clock.advance(1_000)
    const probe = pendingCall()
    const fiber = Effect.runFork(Effect.exit(it.guard(callOf(), probe.run)))
    expect(probe.begun()).toBe(1)
    const another = pendingCall()
    await Effect.runPromise(Effect.exit(it.guard(callOf(), another.run)))
    expect(another.begun()).toBe(0)
    return { ...it, probe, fiber }
  }
  const nextMayProbe = (guard: ReturnType<typeof scene>["guard"]): boolean => {
    const next = pendingCall()
    Effect.runFork(Effect.exit(guard(callOf(), next.run)))
    return next.begun() === 1
  }

  it("success, and only several close it", async () => {
    const { breaker, probe, call, changes } = await halfOpen()
    probe.end("ok")
    await settle()
    await call("ok")
    expect(breaker.view().state).toBe("half-open")
    await call("ok")
    expect(breaker.view().state).toBe("closed")
    expect(changes.map((change) => change.to)).toEqual(["open", "half-open", "closed"])
    expect(changes[0]).toMatchObject({ backend: "engine", from: "closed", lastFailure: "connect ECONNREFUSED" })
  })

  it("failure opens it again", async () => {
    const { breaker, probe } = await halfOpen()
    probe.end("unavailable")
    expect(breaker.view().state).toBe("open")
  })

  it("a defect and an interrupt free the place for the next probe", async () => {
    const thrown = await halfOpen()
    thrown.probe.end("defect")
    await settle()
    expect(nextMayProbe(thrown.guard)).toBe(true)
    const cut = await halfOpen()
    await Effect.runPromise(Fiber.interrupt(cut.fiber))
    expect(nextMayProbe(cut.guard)).toBe(true)
  })

  it("B4: one that hangs and heeds nothing has failed after its time, and its late answer counts for nothing", async () => {
    const { breaker, clock, guard, probe } = await halfOpen({ probeMsMax: 5_000 })
    await clock.advance(4_999)
    expect(nextMayProbe(guard)).toBe(false)
    expect(breaker.view().state).toBe("half-open")
    await clock.advance(1)
    expect(nextMayProbe(guard)).toBe(false)
    expect(breaker.view().state).toBe("open")
    probe.end("ok")
    expect(breaker.view().state).toBe("open")
    await clock.advance(2_000)
    expect(nextMayProbe(guard)).toBe(true)
  })

  it("B3: the late answer of a probe that hung is not taken for the answer of the next one", async () => {
    const { breaker, clock, guard, probe } = await halfOpen({ probeMsMax: 5_000, successesToClose: 1 })
    await clock.advance(5_000)
    expect(nextMayProbe(guard)).toBe(false)
    await clock.advance(2_000)
    expect(nextMayProbe(guard)).toBe(true)
    probe.end("ok")
    expect(breaker.view().state).toBe("half-open")
  })

  it("a stream is never the probe: it may take hours", async () => {
    const { guard, open, clock } = scene()
    await open()
    await clock.advance(1_000)
    const stream = pendingCall()
    await Effect.runPromise(Effect.exit(guard(callOf({ deadlineMs: Number.POSITIVE_INFINITY }), stream.run)))
    expect(stream.begun()).toBe(0)
    expect(nextMayProbe(guard)).toBe(true)
  })
})

describe("what of a call that was interrupted before it began", () => {
  it("never runs, and leaves no probe behind", async () => {
    const { guard, open, clock, breaker } = scene()
    await open()
    await clock.advance(1_000)
    let begun = 0
    const late = Effect.uninterruptible(Effect.promise(() => settle())).pipe(
      Effect.andThen(
        guard(
          callOf(),
          Effect.suspend(() => (begun++, Effect.fail(unavailable()))),
        ),
      ),
    )
    const fiber = Effect.runFork(late)
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect(begun).toBe(0)
    expect(breaker.view().state).toBe("open")
  })
})
