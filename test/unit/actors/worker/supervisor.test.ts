/** Is every attempt reported once, and none disturbed by another's crash? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { startSupervisor } from "../../../../actors/worker/supervisor.ts"
import type { AttemptInput } from "../../../../actors/worker/attempt.ts"
import type { AttemptSteps } from "../../../../actors/worker/steps.ts"
import { berthError } from "../../../../core/errors.ts"
import { manualClock, settle } from "../../../support/clock.ts"
import { exitOf } from "../../../support/fakeExecutor.ts"
import { until } from "../../../support/until.ts"

describe("the supervisor", () => {
  const stepsOf = (more: Partial<AttemptSteps> = {}): AttemptSteps => ({
    collects: false,
    create: () => Effect.succeed({ containerId: "c", imageDigest: null, policy: null }),
    record: () => Effect.succeed("current"),
    run: () => Effect.never,
    stop: () => Effect.void,
    collect: () => Effect.succeed({ artifacts: [], missing: null }),
    end: () => Effect.void,
    fail: () => Effect.void,
    remove: () => Effect.void,
    detach: () => Effect.void,
    abandon: () => {},
    ...more,
  })
  const input = (steps: Partial<AttemptSteps>): AttemptInput => ({
    steps: stepsOf(steps),
    timeoutMs: 1_000,
    adopted: null,
    stop: null,
  })
  const supervised = (restartsMax = 2) => {
    const done: string[] = []
    const crashed: string[] = []
    const escalated: string[] = []
    const clock = manualClock()
    const supervisor = startSupervisor({
      clock,
      intensity: { restartsMax, windowMs: 1_000, delayMs: 1, outageDelayMs: 1 },
      onDone: (key) => done.push(key),
      onCrash: (key) => crashed.push(key),
      onEscalate: (reason) => escalated.push(reason),
    })
    const spawn = (key: string, given: AttemptInput): void => supervisor.spawn(key, given, null)
    return { supervisor, spawn, clock, done, crashed, escalated }
  }
  const broken = { end: () => Effect.die(new Error("a defect")), run: () => Effect.succeed(exitOf()) }

  it("SU1 SU2: each attempt is reported once, as done or as crashed, and none disturbs another", async () => {
    const { crashed, done, spawn, supervisor } = supervised(100)
    spawn("forever", input({}))
    for (let n = 0; n < 10; n += 1) {
      spawn(`good${n}`, input({ run: () => Effect.succeed(exitOf()) }))
      spawn(`bad${n}`, input(broken))
    }
    await until(() => done.length + crashed.length === 20)
    expect(done.toSorted()).toEqual(Array.from({ length: 10 }, (_, n) => `good${n}`))
    expect(crashed.toSorted()).toEqual(Array.from({ length: 10 }, (_, n) => `bad${n}`))
    expect(supervisor.send("good1", { type: "detach" })).toBe(false)
    expect(supervisor.send("forever", { type: "detach" })).toBe(true)
    await until(() => done.includes("forever"))
    supervisor.stop()
  })

  it("SU3: as many crashes as are allowed are borne, one more escalates", async () => {
    const { crashed, escalated, spawn, supervisor } = supervised(2)
    for (const key of ["a", "b"]) spawn(key, input(broken))
    await until(() => crashed.length === 2)
    expect(escalated).toEqual([])
    spawn("c", input(broken))
    await until(() => escalated.length === 1)
    expect(crashed).toEqual(["a", "b", "c"])
    supervisor.stop()
  })

  it("time limits run on the port's clock, and end with the attempt", async () => {
    const { clock, spawn, supervisor } = supervised()
    const stops: (string | null)[] = []
    spawn("a", input({ stop: (_, mode) => Effect.sync(() => void stops.push(mode)) }))
    await settle()
    supervisor.send("a", { type: "began" })
    expect(clock.armed()).toBe(1)
    await clock.advance(1_000)
    expect(stops).toEqual(["deadline"])
    spawn("b", input({}))
    await settle()
    supervisor.send("b", { type: "began" })
    expect(clock.armed()).toBe(1)
    supervisor.stop()
    expect(clock.armed()).toBe(0)
  })

  it("what fails for an outage and what has a defect are told apart: a typed failure of `run` is no crash", async () => {
    const { crashed, done, spawn, supervisor } = supervised()
    const failures: unknown[] = []
    const error = berthError("BACKEND_UNAVAILABLE", "away")
    spawn("a", input({ run: () => Effect.fail(error), fail: (why) => Effect.sync(() => void failures.push(why)) }))
    await until(() => done.length === 1)
    expect([failures, crashed]).toEqual([[error], []])
    supervisor.stop()
  })

  it("what a step does ends with its state, with a crash, and with the supervisor", async () => {
    const { crashed, done, spawn, supervisor } = supervised()
    const ended: string[] = []
    const untilEnded = (key: string) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void ended.push(key)))
    spawn("left", input({ create: () => untilEnded("left") }))
    await settle()
    supervisor.send("left", { type: "detach" })
    await until(() => done.length === 1)
    expect([done, ended]).toEqual([["left"], ["left"]])
    // The program's step goes on while the one that stops it crashes on the way.
    const stop = (): never => {
      throw new Error("a defect")
    }
    spawn("crashed", input({ run: () => untilEnded("crashed"), stop }))
    await settle()
    supervisor.send("crashed", { type: "stop", mode: "kill" })
    await until(() => crashed.length === 1)
    spawn("stopped", input({ run: () => untilEnded("stopped") }))
    await settle()
    supervisor.stop()
    await until(() => ended.includes("stopped"))
    expect([done, ended]).toEqual([["left"], ["left", "crashed", "stopped"]])
  })

  it("what a step does ends also when its own beginning makes the attempt leave it", async () => {
    const { done, spawn, supervisor } = supervised()
    let ended = 0
    const untilEnded = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (ended += 1)))
    const leave = Effect.sync(() => supervisor.send("a", { type: "detach" }))
    spawn("a", input({ create: () => Effect.andThen(leave, untilEnded) }))
    await until(() => done.length === 1)
    await settle()
    expect(ended).toBe(1)
  })

  it("an end that comes behind a wish to stop belongs to nobody any more", async () => {
    const { crashed, done, spawn, supervisor } = supervised()
    const calls: string[] = []
    let fail = (): void => {}
    const create = () =>
      Effect.callback<never, ReturnType<typeof berthError>>((resume) => {
        fail = () => resume(Effect.fail(berthError("BACKEND_UNAVAILABLE", "too late")))
      })
    const noted = (what: string) => () => Effect.sync(() => void calls.push(what))
    spawn("a", input({ create, end: noted("end"), fail: noted("fail") }))
    await settle()
    supervisor.send("a", { type: "stop", mode: "kill" })
    fail()
    await until(() => done.length === 1)
    expect([calls, crashed]).toEqual([["end"], []])
  })
})
