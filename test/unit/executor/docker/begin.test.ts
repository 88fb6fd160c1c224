/** RU4: is a program that never begins stopped in time, and an engine that was away meanwhile not taken for its time limit? */
import { Effect, Fiber } from "effect"
import { expect, it } from "vitest"
import { FED_JOB, KILLED, openFakeContainer } from "../../../support/fakeContainer.ts"
import { until } from "../../../support/until.ts"

const BEGIN_SLACK_MS = 30_000
const LIMIT_MS = FED_JOB.spec.timeoutMs + BEGIN_SLACK_MS

it("one that was killed while its engine was away is lost, and no time limit of its own", async () => {
  const { asked, clock, running, setAway, setState } = await openFakeContainer()
  setAway(true)
  await clock.advance(LIMIT_MS)
  await until(() => asked.includes("json"), "a look at it")
  setAway(false)
  setState(KILLED)
  const error = await Effect.runPromise(Effect.flip(Fiber.join(running)))
  expect([error.code, error.retryable]).toEqual(["BACKEND_UNAVAILABLE", true])
  expect(asked).not.toContain("kill")
})

it("one that still runs when its engine is back is stopped then", async () => {
  const { asked, clock, running, setAway } = await openFakeContainer()
  setAway(true)
  await clock.advance(LIMIT_MS)
  await until(() => asked.includes("json"), "a look at it")
  setAway(false)
  while (running.pollUnsafe() === undefined) await clock.advance(500)
  expect(await Effect.runPromise(Fiber.join(running))).toMatchObject({ status: "timeout", reason: "deadline" })
  expect(asked).toContain("kill")
})
