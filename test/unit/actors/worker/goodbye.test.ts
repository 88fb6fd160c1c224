import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { berthError } from "../../../../core/errors.ts"
import { said, storeIsAway } from "../../../../actors/worker/goodbye.ts"
import { manualClock } from "../../../support/clock.ts"

describe("a worker that leaves", () => {
  it("believes a store that answers, and one that refuses or is silent to be away", async () => {
    const clock = manualClock()
    const answers = ["there", "there", "refused"]
    let asked = 0
    const look = Effect.suspend(() => {
      const answer = answers[asked]
      asked += 1
      return answer === "there" ? Effect.succeed(answer) : Effect.fail(berthError("STORE_UNAVAILABLE", "away"))
    })
    const away = Effect.runPromise(storeIsAway(look, clock))
    for (let n = 0; n < 2; n += 1) {
      await clock.untilArmed(1)
      await clock.advance(500)
    }
    await away
    expect(asked).toBe(3)
    const silent = Effect.runPromise(storeIsAway(Effect.never, clock))
    await clock.untilArmed(1)
    await clock.advance(1_500)
    await silent
  })

  it("keeps nobody waiting with what it has to say, whether it is taken, refused, or not heard", async () => {
    const clock = manualClock()
    await Effect.runPromise(said(Effect.void, clock))
    await Effect.runPromise(said(Effect.fail(berthError("STORE_UNAVAILABLE", "away")), clock))
    const unheard = Effect.runPromise(said(Effect.never, clock))
    await clock.untilArmed(1)
    await clock.advance(1_500)
    await unheard
  })
})
