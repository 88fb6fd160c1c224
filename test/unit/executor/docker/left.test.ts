/** EX8: what an attempt that was interrupted still holds of its container, is it let go of, and of nobody else's? */
import { Effect, Fiber, Latch } from "effect"
import { expect, it } from "vitest"
import { recordingSink } from "../../../support/executorJob.ts"
import { FED_JOB, FED_PLACE, openFakeContainer } from "../../../support/fakeContainer.ts"
import { settle } from "../../../support/clock.ts"
import { until } from "../../../support/until.ts"

it("a run that was interrupted while it fed its program feeds it whole, and then keeps no stream open", async () => {
  const gate = Latch.makeUnsafe(false)
  let isHalfFed = false
  const halfFed = Effect.andThen(
    Effect.sync(() => void (isHalfFed = true)),
    Latch.await(gate),
  )
  const { attached, running } = await openFakeContainer({ halfFed })
  await until(() => isHalfFed, "half of the feed")
  await Effect.runPromise(Fiber.interrupt(running))
  const [socket] = attached
  let isFed = false
  socket?.on("end", () => void (isFed = true))
  await settle()
  expect([attached.length, isFed]).toEqual([1, false])
  Latch.openUnsafe(gate)
  await until(() => isFed, "the end of the feed")
  // Who does not read it any more, but has not closed it, lets this pile up.
  await until(() => {
    socket?.write("x")
    return socket?.destroyed === true
  }, "the stream to be closed")
})

it("a program that a later attempt of the same process has adopted is left to that one, which can stop it", async () => {
  const { asked, executor, running } = await openFakeContainer()
  await settle()
  await Effect.runPromise(Fiber.interrupt(running))
  const later = { ...FED_JOB }
  const none = { stdout: 0, stderr: 0 }
  const adopting = Effect.runFork(executor.adopt(later, FED_PLACE, recordingSink(), none))
  await until(() => asked.includes("logs"), "its log to be followed")
  await settle(200)
  await Effect.runPromise(executor.detach(FED_JOB, FED_PLACE))
  await settle(200)
  expect(adopting.pollUnsafe()).toBeUndefined()
  const stopping = Effect.runFork(executor.stop(later, FED_PLACE, "kill"))
  await until(() => asked.includes("kill") || stopping.pollUnsafe() !== undefined, "an end of the wish to stop")
  expect(asked).toContain("kill")
  await Effect.runPromise(Fiber.interrupt(adopting))
})
