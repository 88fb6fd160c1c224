/** Does who asks for what there is get all of it, and then its end, also of a task that goes on? */
import { Effect, Exit, Scope, Stream } from "effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type Hub, makeHub } from "../../../actors/hub.ts"
import { watchTask } from "../../../actors/watch.ts"
import { makeRig, type Rig } from "../../support/actorRig.ts"
import { settle } from "../../support/clock.ts"
import { ended, printed, started } from "../../support/task.ts"
import { streamOf } from "../../support/watching.ts"

let rig: Rig
let scope: Scope.Closeable
let hub: Hub

beforeEach(async () => {
  rig = makeRig()
  scope = Effect.runSync(Scope.make())
  hub = makeHub(rig.log)
  await Effect.runPromise(Effect.forkIn(hub.run, scope))
  await settle()
})
afterEach(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

const output = (text: string, at: number) => rig.run(rig.log.appendOutput("t1", printed(text, at)))

describe("what does who does not follow see?", () => {
  const soFar = (from = 0) =>
    Effect.runPromise(
      Effect.map(Stream.runCollect(streamOf(watchTask({ ...rig, hub }, "t1", from, false))), (events) => [...events]),
    )

  it("WA4: all that the log holds of a task that goes on, and no end", async () => {
    const first = await rig.submit({ id: "t1" })
    const running = started(first.state)
    await rig.append(running)
    for (let n = 0; n < 450; n += 1) await output(`${n}\n`.padStart(10, "."), n * 10)
    const events = await soFar()
    expect(events.filter(({ type }) => type === "output")).toHaveLength(450)
    expect(events.some(({ type }) => type === "end")).toBe(false)
    const last = events.at(-1)?.seq ?? 0
    expect(await soFar(last)).toEqual([])
    await rig.append(ended(running.state))
    expect((await soFar(last)).map(({ type }) => type)).toEqual(["state", "end"])
  })

  it("WA4: not what is printed while it reads, however fast that is", async () => {
    const first = await rig.submit({ id: "t1" })
    await rig.append(started(first.state))
    for (let n = 0; n < 10; n += 1) await output(`${n}\n`.padStart(10, "."), n * 10)
    let printedBytes = 100
    const endless = {
      ...rig.log,
      readTask: (...question: Parameters<typeof rig.log.readTask>) =>
        Effect.andThen(
          Effect.forEach(Array.from({ length: printedBytes > 30_000 ? 0 : 300 }), () =>
            rig.log.appendOutput("t1", printed(".".repeat(10), (printedBytes += 10) - 10)),
          ),
          rig.log.readTask(...question),
        ),
    }
    const events = await Effect.runPromise(
      Stream.runCollect(streamOf(watchTask({ ...rig, log: endless, hub }, "t1", 0, false))),
    )
    expect([...events].filter(({ type }) => type === "output")).toHaveLength(10)
  })
})
