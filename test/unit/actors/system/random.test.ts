/** Are ids unlike each other, in order of their age, and well-formed, also where the chance bytes are drawn anew? */
import { Context, Effect, Layer } from "effect"
import { expect, it } from "vitest"
import { liveRandom } from "../../../../actors/system/random.ts"
import { Random } from "../../../../core/ports/random.ts"

it("ten thousand ids differ in their chance letters, and none sorts before one of an earlier moment", async () => {
  const random = Context.get(await Effect.runPromise(Effect.scoped(Layer.build(liveRandom))), Random)
  const ids = Array.from({ length: 10_000 }, () => random.id())
  expect(ids.filter((id) => !/^[0-9a-hjkmnp-tv-z]{26}$/.test(id))).toEqual([])
  expect(new Set(ids.map((id) => id.slice(10))).size).toBe(ids.length)
  const times = ids.map((id) => id.slice(0, 10))
  expect(times).toEqual(times.toSorted())
})
