/** What does a watch cost that is there from the task's beginning, and what if one goes wrong? */
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type Hub, makeHub } from "../../../actors/hub.ts"
import { watchTask } from "../../../actors/watch.ts"
import { liveOutputSubject } from "../../../core/ports/signals.ts"
import { stateSubject } from "../../../core/record.ts"
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
  // The hub follows from the first subscription on.
  await rig.submit({ id: "t0" })
  await Effect.runPromise(Effect.forkIn(Stream.runDrain(watch("t0", 0)), scope))
  await settle()
})
afterEach(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

const watch = (taskId: string, from: number, more: Partial<Rig> = {}) =>
  streamOf(watchTask({ ...rig, ...more, hub }, taskId, from))
const seqsOf = async (taskId: string, from: number) =>
  (await rig.run(Stream.runCollect(watch(taskId, from)))).map(({ seq }) => seq)

describe("a watch from the beginning on", () => {
  it("WA5: nobody listens for live output of a task that prints nothing", async () => {
    const { signals } = rig
    const heard: string[] = []
    const subscribe: typeof signals.subscribe = (subject, onSignal) => {
      heard.push(subject)
      return signals.subscribe(subject, onSignal)
    }
    const life = async (id: string, prints: boolean) => {
      const first = await rig.submit({ id })
      const told = rig.run(Stream.runCollect(watch(id, 0, { signals: { ...signals, subscribe } })))
      await settle()
      const running = started(first.state)
      await rig.append(running)
      if (prints) await rig.run(rig.log.appendOutput(id, printed("x", 0)))
      await settle()
      await rig.append(ended(running.state))
      return (await told).length
    }
    expect([await life("t1", false), heard]).toEqual([4, []])
    expect([await life("t2", true), heard]).toEqual([5, [liveOutputSubject("t2")]])
  })

  it("H4: asks the log nothing, also where it begins after the first entry; after the last it learns of the end", async () => {
    const first = await rig.submit({ id: "t1" })
    await settle()
    rig.fail("readTask", { type: "refused", times: 1_000 })
    rig.fail("last", { type: "refused", times: 1_000 })
    const seqs = seqsOf("t1", 2)
    await settle()
    rig.heal()
    const running = started(first.state)
    await rig.append(running)
    await rig.append(ended(running.state))
    expect(await seqs).toEqual([3, 4, 4])
    expect(await seqsOf("t1", 4)).toEqual([4])
  })

  it("H5: that throws ends alone", async () => {
    const first = await rig.submit({ id: "t1" })
    const other = seqsOf("t1", 0)
    const put = () => {
      throw new Error("broken")
    }
    const broken = Effect.runFork(watchTask({ ...rig, hub }, "t1", 2)({ put, isFull: () => false, room: Effect.void }))
    await settle()
    const running = started(first.state)
    await rig.append(running)
    const exit = await Effect.runPromise(Fiber.await(broken))
    expect(Exit.isFailure(exit) && String(exit.cause)).toContain("broken")
    await rig.append(ended(running.state))
    expect(await other).toEqual([2, 3, 4, 4])
  })

  it("H1: is told everything, where so many watch that others get their turn between two entries", async () => {
    const first = await rig.submit({ id: "t1" })
    const running = started(first.state)
    await rig.append(running)
    await rig.append(ended(running.state))
    const own = rig.store.log
    const all = await rig.run(own.readTask("t1", 0, 10))
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const feed = () =>
      Stream.concat(
        Stream.fromEffect(
          Effect.as(
            Effect.promise(() => gate),
            all,
          ),
        ),
        Stream.never,
      )
    const crowded = makeHub({ ...rig.log, head: Effect.succeed(0), feed })
    // Nobody finds in the log what only the feed is to bring.
    const begun = { record: first, seq: 2, subject: stateSubject("t1") }
    const last = () => Effect.map(own.last("t1"), (entry) => entry && { ...entry, ...begun })
    const log = { ...rig.log, readTask: () => Effect.succeed([]), last }
    const watchers = Array.from({ length: 300 }, () =>
      Effect.runPromise(Stream.runCollect(streamOf(watchTask({ ...rig, log, hub: crowded }, "t1", 0)))),
    )
    await Effect.runPromise(Effect.forkIn(crowded.run, scope))
    await settle()
    open()
    for (const events of await Promise.all(watchers)) expect(events.map(({ seq }) => seq)).toEqual([2, 3, 4, 4])
  })
})
