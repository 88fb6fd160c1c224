/** Does a registry that does not answer keep nobody from reading for long? */
import { Effect } from "effect"
import { expect, it } from "vitest"
import { makeKnown } from "../../../actors/known.ts"
import { berthError } from "../../../core/errors.ts"
import type { Workers } from "../../../core/ports/workers.ts"
import { workerInfo } from "../../support/actorRig.ts"
import { manualClock, settle } from "../../support/clock.ts"

const scene = () => {
  const clock = manualClock()
  let [answer, asks]: [Workers["Service"]["list"], number] = [Effect.succeed([workerInfo()]), 0]
  const list = Effect.suspend(() => {
    asks += 1
    return answer
  })
  const known = makeKnown(list, clock, 250)
  return {
    clock,
    read: () => Effect.runPromise(known),
    asks: () => asks,
    answerWith: (next: typeof answer) => void (answer = next),
  }
}

it("asks once for many reads, and again when that is old", async () => {
  const { asks, clock, read } = scene()
  for (let n = 0; n < 10; n += 1) expect(await read()).toHaveLength(1)
  expect(asks()).toBe(1)
  await clock.advance(300)
  await read()
  expect(asks()).toBe(2)
})

it.each([
  ["never answers", Effect.never],
  ["refuses", Effect.fail(berthError("STORE_UNAVAILABLE", "away"))],
] as const)("answers with what is known where the registry %s, and does not ask for a while", async (_, answer) => {
  const { answerWith, asks, clock, read } = scene()
  await read()
  await clock.advance(300)
  answerWith(answer)
  const waiting = read()
  await settle()
  // Who comes meanwhile does not wait at all.
  expect(await read()).toHaveLength(1)
  await clock.advance(250)
  expect(await waiting).toHaveLength(1)
  await clock.advance(4_000)
  expect(await read()).toHaveLength(1)
  expect(asks()).toBe(2)
  answerWith(Effect.succeed([]))
  await clock.advance(2_000)
  expect(await read()).toEqual([])
})
