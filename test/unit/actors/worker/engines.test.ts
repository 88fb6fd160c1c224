/** Does a worker go on to tell which engines are its own while one of them does not answer? */
import { Effect } from "effect"
import { expect, it } from "vitest"
import { Engines } from "../../../../actors/worker/engines.ts"
import { type BerthError, berthError } from "../../../../core/errors.ts"
import type { ExecutorShape } from "../../../../core/ports/executor.ts"
import type { Isolation } from "../../../../core/words.ts"
import { manualClock } from "../../../support/clock.ts"
import { fakeExecutor } from "../../../support/fakeExecutor.ts"

const away = berthError("BACKEND_UNAVAILABLE", "it does not answer")

const engine = (id: string | null, isolations: readonly Isolation[]) => {
  let error: BerthError | null = null
  let own = id
  const answer = <A>(value: () => A) =>
    Effect.suspend(() => (error === null ? Effect.succeed(value()) : Effect.fail(error)))
  const executor: ExecutorShape = {
    ...fakeExecutor(),
    engineId: answer(() => own),
    isolations: answer(() => isolations),
  }
  return {
    executor,
    fail: (how: BerthError | null) => void (error = how),
    replace: (by: string) => void (own = by),
  }
}

it("tells those that have answered, and keeps them while they do not", async () => {
  const [docker, other, handlers] = [engine("e1", ["runc", "runsc"]), engine("e2", ["runc"]), engine(null, [])]
  const engines = new Engines(
    [docker, other, handlers].map(({ executor }) => executor),
    manualClock(),
  )
  other.fail(away)
  expect(await Effect.runPromise(engines.learn)).toBe(false)
  expect([engines.ids, engines.isolations]).toEqual([["e1"], ["runc", "runsc"]])
  other.fail(null)
  docker.fail(away)
  expect(await Effect.runPromise(engines.learn)).toBe(false)
  expect(engines.ids.toSorted()).toEqual(["e1", "e2"])
  docker.fail(null)
  docker.replace("e9")
  expect(await Effect.runPromise(engines.learn)).toBe(true)
  expect(engines.ids.toSorted()).toEqual(["e2", "e9"])
})
