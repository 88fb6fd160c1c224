/** Is every attempt reported once, and none disturbed by another's crash? */
import { describe, expect, it } from "vitest"
import { startSupervisor } from "../../../../actors/worker/supervisor.ts"
import type { AttemptInput } from "../../../../actors/worker/attempt.ts"
import type { AttemptSteps } from "../../../../actors/worker/steps.ts"
import { berthError } from "../../../../core/errors.ts"
import { manualClock, settle } from "../../../support/clock.ts"
import { exitOf } from "../../../support/fakeExecutor.ts"
import { until } from "../../../support/until.ts"

describe("the supervisor", () => {
  const forever = (): Promise<never> => new Promise(() => {})
  const stepsOf = (more: Partial<AttemptSteps> = {}): AttemptSteps => ({
    collects: false,
    create: () => Promise.resolve({ containerId: "c", imageDigest: null, policy: null }),
    record: () => Promise.resolve("current"),
    run: forever,
    stop: () => Promise.resolve(),
    collect: () => Promise.resolve({ artifacts: [], missing: null }),
    end: () => Promise.resolve(),
    fail: () => Promise.resolve(),
    remove: () => Promise.resolve(),
    detach: () => Promise.resolve(),
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
    return { supervisor, clock, done, crashed, escalated }
  }
  const broken = { end: () => Promise.reject(new Error("a defect")), run: () => Promise.resolve(exitOf()) }

  it("SU1 SU2: each attempt is reported once, as done or as crashed, and none disturbs another", async () => {
    const { crashed, done, supervisor } = supervised(100)
    supervisor.spawn("forever", input({}))
    for (let n = 0; n < 10; n += 1) {
      supervisor.spawn(`good${n}`, input({ run: () => Promise.resolve(exitOf()) }))
      supervisor.spawn(`bad${n}`, input(broken))
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
    const { crashed, escalated, supervisor } = supervised(2)
    for (const key of ["a", "b"]) supervisor.spawn(key, input(broken))
    await until(() => crashed.length === 2)
    expect(escalated).toEqual([])
    supervisor.spawn("c", input(broken))
    await until(() => escalated.length === 1)
    expect(crashed).toEqual(["a", "b", "c"])
    supervisor.stop()
  })

  it("time limits run on the port's clock, and end with the attempt", async () => {
    const { clock, supervisor } = supervised()
    const stops: (string | null)[] = []
    supervisor.spawn("a", input({ stop: (_, mode) => Promise.resolve(void stops.push(mode)) }))
    await settle()
    supervisor.send("a", { type: "began" })
    expect(clock.armed()).toBe(1)
    await clock.advance(1_000)
    expect(stops).toEqual(["deadline"])
    supervisor.spawn("b", input({}))
    await settle()
    supervisor.send("b", { type: "began" })
    expect(clock.armed()).toBe(1)
    supervisor.stop()
    expect(clock.armed()).toBe(0)
  })

  it("what fails for an outage and what has a defect are told apart: a typed failure of `run` is no crash", async () => {
    const { crashed, done, supervisor } = supervised()
    const failures: unknown[] = []
    const error = berthError("BACKEND_UNAVAILABLE", "away")
    supervisor.spawn(
      "a",
      input({ run: () => Promise.reject(error), fail: (why) => Promise.resolve(void failures.push(why)) }),
    )
    await until(() => done.length === 1)
    expect([failures, crashed]).toEqual([[error], []])
    supervisor.stop()
  })
})
