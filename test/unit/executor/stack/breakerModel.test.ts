/**
 * Does the shell do exactly what the policy says, and does the policy keep its promises, under any history of calls,
 * results in any order, interrupts, hangs and passing time?
 */
import { Effect, Exit, type Fiber } from "effect"
import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import { Breaker } from "../../../../actors/executor/stack/breaker.ts"
import { direct } from "../../../../actors/executor/stack/layer.ts"
import type { BerthError } from "../../../../core/errors.ts"
import {
  admit,
  type BreakerLimits,
  type BreakerState,
  type CallVerdict,
  CLOSED,
  type Pass,
  settle,
} from "../../../../core/policy/breaker.ts"
import { callOf, type HowItEnds, pendingCall } from "../../../support/engineCall.ts"

const LIMITS: BreakerLimits = {
  consecutiveFailuresMax: 3,
  windowMs: 1_000,
  windowCallsMin: 6,
  failureRatioMax: 0.5,
  openMsInitial: 100,
  openMsMax: 400,
  successesToClose: 2,
  probeMsMax: 300,
}
const JITTER = 0.5

interface Flight {
  readonly pass: Pass
  readonly call: ReturnType<typeof pendingCall>
  readonly fiber: Fiber.Fiber<string, BerthError>
}
interface Model {
  state: BreakerState
  nowMonoMs: number
  flights: Flight[]
}
interface Real {
  readonly breaker: Breaker
  readonly setNow: (monoMs: number) => void
  readonly changes: string[]
}

const visited = new Set<string>()

const become = (model: Model, real: Real, next: BreakerState, why: string): void => {
  const from = model.state
  model.state = next
  visited.add(next.tag)
  if (from.tag !== next.tag) {
    visited.add(`${from.tag} → ${next.tag}: ${why}`)
    expect(next.generation).toBe(from.generation + 1)
    expect(real.changes.at(-1)).toBe(`${from.tag} → ${next.tag}`)
  }
  expect(real.breaker.view().state).toBe(next.tag)
}

class Call implements fc.Command<Model, Real> {
  readonly deadlineMs: number
  constructor(deadlineMs: number) {
    this.deadlineMs = deadlineMs
  }
  check = () => true
  run(model: Model, real: Real): void {
    const before = model.state
    const admission = admit(LIMITS, before, this.deadlineMs, model.nowMonoMs, JITTER)
    const call = pendingCall()
    const fiber = Effect.runFork(real.breaker.layer(direct)(callOf({ deadlineMs: this.deadlineMs }), call.run))
    expect(call.begun()).toBe(admission.pass === null ? 0 : 1)
    if (before.tag === "open" && model.nowMonoMs < before.untilMonoMs) expect(admission.pass).toBeNull()
    if (before.tag === "half-open" && before.probeSinceMonoMs !== null) expect(admission.pass).toBeNull()
    if (before.tag !== "closed" && this.deadlineMs > LIMITS.probeMsMax) expect(admission.pass).toBeNull()
    become(model, real, admission.state, admission.pass === null ? "hung" : "time")
    if (admission.pass !== null) model.flights.push({ pass: admission.pass, call, fiber })
    else
      expect(fiber.pollUnsafe()).toSatisfy(
        (exit: Exit.Exit<unknown, unknown> | undefined) => exit !== undefined && Exit.isFailure(exit),
      )
  }
  toString = () => `call(${this.deadlineMs})`
}

class End implements fc.Command<Model, Real> {
  readonly index: number
  readonly how: HowItEnds | "interrupt"
  constructor(index: number, how: HowItEnds | "interrupt") {
    this.index = index
    this.how = how
  }
  check = (model: Readonly<Model>) => model.flights.length > 0
  run(model: Model, real: Real): void {
    // Mostly the newest ends first, so that old calls stay in flight through changes of state.
    const [flight] = model.flights.splice(model.flights.length - 1 - (this.index % model.flights.length), 1)
    if (flight === undefined) return
    if (this.how === "interrupt") flight.fiber.interruptUnsafe()
    else flight.call.end(this.how)
    const verdicts: Record<HowItEnds | "interrupt", CallVerdict> = {
      ok: "success",
      refused: "success",
      unavailable: "failure",
      defect: "ignored",
      interrupt: "ignored",
    }
    if (flight.pass.generation !== model.state.generation) {
      visited.add(`late ${flight.pass.probe === 0 ? "call" : "probe"} while ${model.state.tag}`)
    }
    const next = settle(LIMITS, model.state, flight.pass, verdicts[this.how], model.nowMonoMs, JITTER)
    if (flight.pass.generation !== model.state.generation) expect(next).toBe(model.state)
    if (verdicts[this.how] !== "failure") expect(next.tag === "open").toBe(model.state.tag === "open")
    become(model, real, next, this.how)
  }
  toString = () => `end(${this.index}, ${this.how})`
}

class Elapse implements fc.Command<Model, Real> {
  readonly ms: number
  constructor(ms: number) {
    this.ms = ms
  }
  check = () => true
  run(model: Model, real: Real): void {
    model.nowMonoMs += this.ms
    real.setNow(model.nowMonoMs)
  }
  toString = () => `pass(${this.ms} ms)`
}

/** A probe hangs through the opening that it causes and into the next half-open time: too rare to wait for. */
class Hang implements fc.Command<Model, Real> {
  check = (model: Readonly<Model>) => model.state.tag === "half-open" && model.state.probeSinceMonoMs !== null
  run(model: Model, real: Real): void {
    for (const step of [new Elapse(300), new Call(50), new Elapse(400), new Call(50)]) step.run(model, real)
  }
  toString = () => "hang"
}

const scene = (): { model: Model; real: Real } => {
  let monoMs = 0
  const breaker = new Breaker({
    backend: "engine",
    limits: LIMITS,
    clock: { nowMs: () => monoMs, monoMs: () => monoMs, sleep: () => Effect.never, after: () => () => undefined },
    random: { next01: () => JITTER, id: () => "" },
  })
  const changes: string[] = []
  breaker.onChange((change) => changes.push(`${change.from} → ${change.to}`))
  return {
    model: { state: CLOSED, nowMonoMs: 0, flights: [] },
    real: {
      breaker,
      changes,
      setNow: (ms) => {
        monoMs = ms
      },
    },
  }
}

const hows: fc.Arbitrary<HowItEnds | "interrupt"> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<HowItEnds>("unavailable") },
  { weight: 4, arbitrary: fc.constant<HowItEnds>("ok") },
  { weight: 1, arbitrary: fc.constantFrom<HowItEnds | "interrupt">("refused", "defect", "interrupt") },
)

describe("the breaker", () => {
  it("does what its policy says after any history", () => {
    const commands = fc.commands(
      [
        fc.constantFrom(50, 50, 50, 1_000_000).map((deadlineMs) => new Call(deadlineMs)),
        fc.tuple(fc.constantFrom(1, 1, 2, 3, 7, 19), hows).map(([index, how]) => new End(index, how)),
        fc.tuple(fc.constant(0), hows).map(([index, how]) => new End(index, how)),
        fc.tuple(fc.constant(0), hows).map(([index, how]) => new End(index, how)),
        fc.constant(new Hang()),
        fc.constantFrom(1, 75, 120, 300).map((ms) => new Elapse(ms)),
      ],
      { maxCommands: 200, size: "max" },
    )
    fc.assert(
      fc.property(commands, (run) => {
        fc.modelRun(scene, run)
      }),
      { numRuns: 300, seed: 20_250_101 },
    )
  })

  afterAll(() => {
    // Random histories prove nothing about states that they never reached.
    expect([...visited].sort()).toEqual(
      expect.arrayContaining([
        "closed",
        "closed → open: unavailable",
        "half-open",
        "half-open → closed: ok",
        "half-open → open: hung",
        "half-open → open: unavailable",
        "late call while half-open",
        "late probe while closed",
        "late probe while half-open",
        "open",
        "open → half-open: time",
      ]),
    )
  })
})
