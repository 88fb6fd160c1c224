import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { type Backend, type BackendOptions, makeBackend } from "../../../../actors/executor/stack/backend.ts"
import { SharedRetryBudget } from "../../../../actors/executor/stack/retryBudget.ts"
import type { CallObservation } from "../../../../actors/executor/stack/traced.ts"
import type { BerthError } from "../../../../core/errors.ts"
import { RETRY_BUDGET_LIMITS } from "../../../../core/policy/retryBudget.ts"
import { manualClock, seededRandom, settle } from "../../../support/clock.ts"
import { callOf, pendingCall, unavailable } from "../../../support/engineCall.ts"

/** An engine that is there or not, and counts what reaches it. */
const fakeEngine = () => {
  const engine = { mode: "well" as "well" | "down" | "hung", calls: 0 }
  const answer = Effect.suspend((): Effect.Effect<string, BerthError> => {
    engine.calls++
    if (engine.mode === "well") return Effect.succeed("pong")
    return engine.mode === "down" ? Effect.fail(unavailable()) : Effect.never
  })
  return { engine, answer }
}

const scene = (more: Partial<BackendOptions> = {}, name = "engine") => {
  const clock = manualClock()
  const observations: CallObservation[] = []
  const backend: Backend = makeBackend(name, {
    clock,
    random: { ...seededRandom(1), next01: () => 0.5 },
    budget: new SharedRetryBudget(RETRY_BUDGET_LIMITS, clock),
    observe: (observation) => observations.push(observation),
    ...more,
  })
  return { clock, backend, observations }
}

describe("in which order do the layers stand", () => {
  it("X4: a hung engine opens the circuit through the deadline", async () => {
    const { answer, engine } = fakeEngine()
    engine.mode = "hung"
    const { clock, backend } = scene({ breaker: { consecutiveFailuresMax: 2 } })
    for (let round = 0; round < 2; round++) {
      const failed = Effect.runPromise(Effect.flip(backend.guard(callOf({ deadlineMs: 100 }), answer)))
      await clock.advance(100)
      expect((await failed).code).toBe("BACKEND_UNAVAILABLE")
    }
    expect([backend.accepting(), backend.state().state]).toEqual([false, "open"])
  })

  it("X3: each repeat is judged by itself, and an open breaker ends the repeating", async () => {
    const { answer, engine } = fakeEngine()
    engine.mode = "down"
    const { clock, backend } = scene({ breaker: { consecutiveFailuresMax: 2 } })
    const failed = Effect.runPromise(Effect.flip(backend.guard(callOf({ repeatable: true }), answer)))
    await clock.advance(60_000)
    expect((await failed).message).toBe("connect ECONNREFUSED")
    expect([engine.calls, backend.state().state, clock.armed()]).toEqual([2, "open", 0])
  })

  it("X2: starts wait for their turn outside of breaker and deadline, other calls do not wait", async () => {
    const { clock, backend } = scene({ startWidth: 1 })
    const [first, second, other] = [pendingCall(), pendingCall(), pendingCall()]
    const start = callOf({ name: "start", start: true, deadlineMs: 1_000 })
    const running = Effect.runFork(backend.guard(start, first.run))
    const waiting = Effect.runFork(backend.guard(start, second.run))
    Effect.runFork(backend.guard(callOf(), other.run))
    await clock.advance(900)
    expect([first.begun(), second.begun(), other.begun(), backend.state().startsWaiting]).toEqual([1, 0, 1, 1])
    first.end("ok")
    await Effect.runPromise(Fiber.join(running))
    await clock.advance(900)
    second.end("ok")
    expect(await Effect.runPromise(Fiber.join(waiting))).toBe("ok")
  })

  it("X0: while it is open, calls are counted and turned away before any layer, and the first one after its time finds its way", async () => {
    const { answer, engine } = fakeEngine()
    const { backend, clock, observations } = scene({ startWidth: 1, breaker: { consecutiveFailuresMax: 1 } })
    engine.mode = "down"
    await Effect.runPromise(Effect.exit(backend.guard(callOf(), answer)))
    observations.length = 0
    const start = callOf({ start: true, repeatable: true })
    for (let call = 0; call < 10; call++) await Effect.runPromise(Effect.flip(backend.guard(start, answer)))
    expect([engine.calls, backend.state().rejectedTotal, observations.length]).toEqual([1, 10, 0])
    engine.mode = "well"
    await clock.advance(1_000)
    expect(await Effect.runPromise(backend.guard(callOf(), answer))).toBe("pong")
  })

  it("X1: one observation per call, with the time that its caller waited", async () => {
    const { answer, engine } = fakeEngine()
    const { clock, backend, observations } = scene()
    engine.mode = "down"
    const failed = Effect.runPromise(Effect.flip(backend.guard(callOf({ repeatable: true, name: "list" }), answer)))
    await clock.advance(60_000)
    await failed
    const cut = Effect.runFork(backend.guard(callOf({ name: "wait" }), Effect.never))
    await Effect.runPromise(Fiber.interrupt(cut))
    engine.mode = "well"
    await Effect.runPromise(backend.guard(callOf({ name: "inspect" }), answer))
    expect(observations).toEqual([
      { backend: "engine", call: "list", outcome: "failed", code: "BACKEND_UNAVAILABLE", durationMs: 75 },
      { backend: "engine", call: "wait", outcome: "interrupted", code: null, durationMs: 0 },
      { backend: "engine", call: "inspect", outcome: "ok", code: null, durationMs: 0 },
    ])
  })
})

describe("what do pings do", () => {
  it("find out that an idle engine has died, probe while it is open, and close it again without any task", async () => {
    const { answer, engine } = fakeEngine()
    const { clock, backend } = scene({ ping: answer, breaker: { consecutiveFailuresMax: 2 } })
    const changes: string[] = []
    backend.onChange((change) => changes.push(change.to))
    engine.mode = "down"
    await clock.advance(5_000)
    expect(backend.accepting()).toBe(true)
    await clock.advance(5_000)
    expect(backend.accepting()).toBe(false)
    const calls = engine.calls
    await clock.advance(749)
    expect(engine.calls).toBe(calls)
    await clock.advance(1)
    expect(engine.calls).toBe(calls + 1)
    expect(backend.state()).toMatchObject({ state: "open", openedTotal: 2 })
    engine.mode = "well"
    await clock.advance(1_500 + 200)
    expect(backend.accepting()).toBe(true)
    expect(changes).toEqual(["open", "half-open", "open", "half-open", "closed"])
    backend.close()
    expect(clock.armed()).toBe(0)
  })

  it("a ping that hangs is a failure like any other, and the next one is sent all the same", async () => {
    const { engine, answer } = fakeEngine()
    const { clock, backend } = scene({ ping: answer, breaker: { consecutiveFailuresMax: 1 } })
    engine.mode = "hung"
    await clock.advance(7_000)
    expect(backend.state().state).toBe("open")
    await clock.advance(60_000)
    expect(engine.calls).toBeGreaterThan(3)
    engine.mode = "well"
    await clock.advance(40_000)
    expect(backend.accepting()).toBe(true)
    backend.close()
  })

  it("none is sent after close, not even by one that was under way", async () => {
    const { engine, answer } = fakeEngine()
    const { clock, backend } = scene({ ping: answer })
    engine.mode = "hung"
    await clock.advance(5_000)
    backend.close()
    await clock.advance(60_000)
    expect(engine.calls).toBe(1)
    expect(clock.armed()).toBe(0)
  })
})

describe("what has one backend to do with another", () => {
  it("nothing: one that is open and full leaves the other closed and free", async () => {
    const a = scene({ slots: { slots: 2, waitingMax: 0, waitMsMax: 1 }, breaker: { consecutiveFailuresMax: 1 } }, "a")
    const b = scene({}, "b")
    const hung = [1, 2].map(() => Effect.runFork(a.backend.guard(callOf(), Effect.never)))
    expect(a.backend.state()).toMatchObject({ accepting: true, slotsInUse: 2 })
    expect((await Effect.runPromise(Effect.flip(a.backend.guard(callOf(), Effect.void)))).code).toBe("OVERLOADED")
    expect(a.backend.state()).toMatchObject({ accepting: true })
    await Effect.runPromise(Fiber.interrupt(hung[0]!))
    await Effect.runPromise(Effect.exit(a.backend.guard(callOf(), Effect.fail(unavailable()))))
    await settle()
    expect(a.backend.state()).toMatchObject({ backend: "a", accepting: false, slotsInUse: 1 })
    expect(b.backend.state()).toMatchObject({ backend: "b", accepting: true, slotsInUse: 0 })
    expect(await Effect.runPromise(b.backend.guard(callOf(), Effect.succeed(1)))).toBe(1)
  })
})
