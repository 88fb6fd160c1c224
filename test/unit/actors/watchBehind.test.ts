/** Does a watch see all of a task where its node's hub is behind the log? */
import { Effect, Fiber, Stream } from "effect"
import { expect, it } from "vitest"
import type { WatchEvent } from "../../../actors/api.ts"
import { makeHub } from "../../../actors/hub.ts"
import { watchTask } from "../../../actors/watch.ts"
import type { BerthError } from "../../../core/errors.ts"
import { makeRig } from "../../support/actorRig.ts"
import { settle } from "../../support/clock.ts"
import { ended, retried, started } from "../../support/task.ts"
import { streamOf } from "../../support/watching.ts"

const collect = async (events: Stream.Stream<WatchEvent, BerthError>): Promise<readonly WatchEvent[]> => [
  ...(await Effect.runPromise(Stream.runCollect(events))),
]

it("WA3 H4: a task that was at rest when the hub heard of it last, and was tried again since, is watched to its end", async () => {
  const rig = makeRig()
  const first = await rig.submit({ id: "t1" })
  const running = started(first.state)
  for (const record of [running, ended(running.state)]) await rig.append(record)
  const heard = await rig.run(rig.store.log.readTask("t1", 0, 10))
  const feed = () => Stream.concat(Stream.make(heard), Stream.never)
  const slow = makeHub({ ...rig.log, head: Effect.succeed(0), feed })
  const hubRuns = Effect.runFork(slow.run)
  const another = Effect.runFork(Stream.runDrain(streamOf(watchTask({ ...rig, hub: slow }, "t9", 0))))
  await settle()
  const again = retried(running.state, null)
  const second = started(again.state)
  for (const record of [again, second, ended(second.state)]) await rig.append(record)
  const all = await collect(streamOf(watchTask({ ...rig, hub: makeHub(rig.log) }, "t1", 0)))
  for (const from of [0, 1, 3, 4, 6]) {
    expect(await collect(streamOf(watchTask({ ...rig, hub: slow }, "t1", from)))).toEqual(
      all.filter(({ seq, type }) => type === "end" || (seq ?? 0) > from),
    )
  }
  for (const fiber of [another, hubRuns]) await Effect.runPromise(Fiber.interrupt(fiber))
})
