/** Is an actor that fails started again, and what must become durable tried until it is? */
import { Effect, Exit, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { persist } from "../../../actors/persist.ts"
import { supervised } from "../../../actors/supervised.ts"
import { type BerthError, berthError } from "../../../core/errors.ts"
import { RESTART_INTENSITY } from "../../../core/policy/supervise.ts"
import { manualClock, seededRandom } from "../../support/clock.ts"

const away = berthError("STORE_UNAVAILABLE", "away")
const final = berthError("STORE_CORRUPT", "damaged")

const supervisedRun = (behave: (start: number) => Effect.Effect<never, BerthError>) => {
  const clock = manualClock()
  const restarts: string[] = []
  let starts = 0
  const start = () => behave((starts += 1))
  const onRestart = (_: string, error: BerthError): void => void restarts.push(error.code)
  const fiber = Effect.runFork(supervised(start, { name: "actor", clock, onRestart }))
  return { clock, restarts, starts: () => starts, fiber, exit: () => Effect.runPromise(Fiber.await(fiber)) }
}

describe("a supervised actor", () => {
  it("that crashes is started again, and when it does so too often it is the parent's failure", async () => {
    const run = supervisedRun(() => Effect.die(new Error("a defect")))
    await run.clock.advance(RESTART_INTENSITY.delayMs * (RESTART_INTENSITY.restartsMax + 5))
    const exit = await run.exit()
    expect(Exit.isFailure(exit)).toBe(true)
    expect([run.starts(), run.restarts.length]).toEqual([
      RESTART_INTENSITY.restartsMax + 1,
      RESTART_INTENSITY.restartsMax,
    ])
  })

  it("that crashes now and then goes on for ever", async () => {
    const run = supervisedRun(() => Effect.die(new Error("a defect")))
    for (let n = 0; n < 50; n += 1) {
      await run.clock.advance(RESTART_INTENSITY.delayMs)
      await run.clock.advance(RESTART_INTENSITY.windowMs / 5)
      expect(run.starts()).toBeGreaterThan(n)
      if (n > 3) break
    }
    await Effect.runPromise(Fiber.interrupt(run.fiber))
  })

  it("is started again for as long as an outage lasts, and goes on after it", async () => {
    const run = supervisedRun((start) => (start <= 100 ? Effect.fail(away) : Effect.never))
    await run.clock.advance(RESTART_INTENSITY.outageDelayMs * 101)
    expect([run.starts(), run.restarts.length]).toEqual([101, 100])
    await Effect.runPromise(Fiber.interrupt(run.fiber))
    expect(run.clock.armed()).toBe(0)
  })

  it("a final failure ends it at once", async () => {
    const run = supervisedRun(() => Effect.fail(final))
    expect(Exit.isFailure(await run.exit())).toBe(true)
    expect([run.starts(), run.restarts]).toEqual([1, []])
  })
})

describe("what must become durable", () => {
  const persisted = (behave: (time: number) => Effect.Effect<string, BerthError>) => {
    const clock = manualClock()
    let times = 0
    const fiber = Effect.runFork(
      persist(
        Effect.suspend(() => behave((times += 1))),
        clock,
        seededRandom(1),
      ),
    )
    return { clock, times: () => times, exit: () => Effect.runPromise(Fiber.await(fiber)), fiber }
  }

  it("is tried until it is", async () => {
    const run = persisted((time) => (time < 40 ? Effect.fail(away) : Effect.succeed("done")))
    await run.clock.advance(2_000 * 40)
    expect(await run.exit()).toEqual(Exit.succeed("done"))
    expect(run.times()).toBe(40)
  })

  it("is not tried again when it cannot be, nor after an interruption", async () => {
    const refused = persisted(() => Effect.fail(final))
    expect(Exit.isFailure(await refused.exit())).toBe(true)
    expect(refused.times()).toBe(1)
    const run = persisted(() => Effect.fail(away))
    await run.clock.advance(1)
    await Effect.runPromise(Fiber.interrupt(run.fiber))
    expect(run.clock.armed()).toBe(0)
  })
})
