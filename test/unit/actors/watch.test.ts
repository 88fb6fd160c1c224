/** Does every watcher see the same events, in order, none twice, none left out, whenever it came and wherever it was cut (I7)? */
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { WatchEvent } from "../../../actors/api.ts"
import { type Hub, makeHub } from "../../../actors/hub.ts"
import { watchTask } from "../../../actors/watch.ts"
import { watchAll } from "../../../actors/watchAll.ts"
import { liveOutputSubject } from "../../../core/ports/signals.ts"
import { stateSubject } from "../../../core/record.ts"
import { makeRig, type Rig } from "../../support/actorRig.ts"
import { settle } from "../../support/clock.ts"
import { codeOf } from "../../support/code.ts"
import { ended, printed, retried, started, tombstoneOf, updated } from "../../support/task.ts"
import { until } from "../../support/until.ts"
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

const watch = (from = 0) => streamOf(watchTask({ ...rig, hub }, "t1", from))
/** A watcher that collects as it goes. */
const watcher = (from = 0) => {
  const events: WatchEvent[] = []
  const fiber = Effect.runFork(Stream.runForEach(watch(from), (event) => Effect.sync(() => void events.push(event))))
  return { events, fiber, done: () => Effect.runPromise(Fiber.await(fiber)) }
}
const output = (text: string, at: number) => rig.run(rig.log.appendOutput("t1", printed(text, at)))
const seqs = (events: readonly WatchEvent[]): readonly (number | null)[] => events.map(({ seq }) => seq)

/** A life with a retry, labels and output in between. */
const live = async (lines = 5): Promise<void> => {
  const first = await rig.submit({ id: "t1", spec: {} })
  await rig.submit({ id: "t2" })
  const running = started(first.state)
  await rig.append(running)
  for (let n = 0; n < lines; n += 1) await output(`${n}\n`.padStart(10, "."), n * 10)
  const again = retried(running.state, null)
  await rig.append(again)
  await rig.append(updated(again.state, { by: "hand" }))
  const second = started(updated(again.state, { by: "hand" }).state)
  await rig.append(second)
  for (let n = 0; n < lines; n += 1) await output(`${n}\n`.padStart(10, "-"), n * 10)
  await rig.append(ended(second.state))
}

describe("what does a watcher see?", () => {
  it("WA1 WA3: early, late, and cut and resumed at every possible sequence: the same events, then the end", async () => {
    await rig.submit({ id: "t0" })
    const early = watcherOf("t1")
    await settle()
    await live()
    const all = await early
    expect(all.at(-1)).toMatchObject({ type: "end", status: "completed" })
    expect(await collect(0)).toEqual(all)
    const growing = seqs(all).filter((seq) => seq !== null)
    expect(growing).toEqual(growing.toSorted((a, b) => a - b))
    for (const cutAt of new Set(growing)) {
      const before = all.filter(({ seq }) => (seq ?? 0) <= cutAt).filter(({ type }) => type !== "end")
      expect([...before, ...(await collect(cutAt))]).toEqual(all)
    }
  })

  it("WA1: one that is cut while the task lives, at any moment, and resumes", async () => {
    await rig.submit({ id: "t1" })
    let from = 0
    const seen: WatchEvent[] = []
    const whole = watcher()
    const state = (await rig.state("t1")) as Parameters<typeof started>[0]
    const running = started(state)
    const steps = [
      () => rig.append(running),
      ...Array.from({ length: 20 }, (_, n) => () => output("line\n", n * 5)),
      () => rig.append(ended(running.state)),
    ]
    for (const step of steps) {
      const part = watcher(from)
      await settle(2)
      await step()
      await settle(3)
      await Effect.runPromise(Fiber.interrupt(part.fiber))
      const sequenced = part.events.filter(({ type }) => type !== "end")
      seen.push(...sequenced)
      from = Math.max(from, ...sequenced.map(({ seq }) => seq ?? 0))
    }
    seen.push(...(await collect(from)))
    await whole.done()
    expect(seen).toEqual(whole.events)
  })

  it("WA1: what comes between the subscription and the first page is sent once", async () => {
    const first = await rig.submit({ id: "t1" })
    const running = started(first.state)
    const meanwhile = Effect.promise(async () => {
      await rig.append(running)
      await settle()
    })
    rig.fail("readTask", { type: "before", times: 1, meanwhile })
    const one = watcher()
    await until(() => one.events.length === 2)
    await rig.append(ended(running.state))
    await one.done()
    expect(seqs(one.events)).toEqual([1, 2, 3, 3])
  })

  it("WA1: nothing of another task", async () => {
    await live()
    expect((await collect(0)).every((event) => event.taskId === "t1")).toBe(true)
  })

  it("WA2: live output comes without a sequence to whoever watches now, and to nobody later", async () => {
    const first = await rig.submit({ id: "t1" })
    const running = started(first.state)
    await rig.append(running)
    const one = watcher()
    await output("head", 0)
    await until(() => one.events.length === 3)
    // Also to one that begins after all that was kept so far.
    const late = watcher(3)
    await settle()
    await rig.run(rig.signals.publish(liveOutputSubject("t1"), printed("live", 2_000_000)))
    await until(() => one.events.length === 4 && late.events.length === 1)
    expect(one.events[3]).toMatchObject({ type: "output", seq: null, offset: 2_000_000 })
    expect(late.events[0]).toEqual(one.events[3])
    await rig.append(ended(running.state))
    await one.done()
    await late.done()
    expect((await collect(0)).some(({ seq }) => seq === null)).toBe(false)
  })

  it("WA3: a watch that begins after the last record learns that all is over", async () => {
    await live()
    const head = (await rig.run(rig.log.last("t1")))?.seq ?? 0
    expect(await collect(head)).toMatchObject([{ type: "end", seq: head, status: "completed" }])
    expect(await collect(head + 100)).toMatchObject([{ type: "end", status: "completed" }])
  })

  it("WA3: a task at rest that is retried by hand goes on for who watches from before", async () => {
    const first = await rig.submit({ id: "t1" })
    const running = started(first.state)
    await rig.append(running)
    const over = ended(running.state, { status: "failed", reason: "exit_nonzero" })
    const seq = await rig.append(over)
    await rig.append(retried(over.state, null))
    const late = watcher(seq)
    await until(() => late.events.length === 1)
    expect(late.events[0]).toMatchObject({ type: "state", task: { status: "pending" } })
    const again = started((await rig.state("t1")) as Parameters<typeof started>[0])
    await rig.append(again)
    await rig.append(ended(again.state))
    await late.done()
    expect(late.events.at(-1)).toMatchObject({ type: "end", status: "completed" })
  })

  it("a purge ends a watch with the status that the task had", async () => {
    const first = await rig.submit({ id: "t1" })
    const one = watcher()
    await until(() => one.events.length === 1)
    await rig.run(rig.log.entomb("t1", 1, tombstoneOf(first.state)))
    await one.done()
    expect(one.events.at(-1)).toMatchObject({ type: "end", status: "pending" })
  })

  it("of a task that is not there: NOT_FOUND", async () => {
    expect(await rig.run(codeOf(Stream.runDrain(watch())))).toBe("NOT_FOUND")
  })

  it("a store that fails ends the watch with the store's error, not with silence", async () => {
    await live()
    rig.fail("readTask")
    expect(await rig.run(codeOf(Stream.runDrain(watch())))).toBe("STORE_UNAVAILABLE")
  })
})

describe("when the hub cannot follow", () => {
  it("H2: a subscriber that does not keep up reads pages, and misses nothing", async () => {
    const first = await rig.submit({ id: "t1" })
    const running = started(first.state)
    await rig.append(running)
    // A watcher that takes nothing while 600 records come.
    const events: WatchEvent[] = []
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const fiber = Effect.runFork(
      Stream.runForEach(watch(), (event) =>
        Effect.andThen(
          Effect.promise(() => gate),
          Effect.sync(() => void events.push(event)),
        ),
      ),
    )
    await settle()
    for (let n = 0; n < 600; n += 1) await output("x\n", n * 2)
    await rig.append(ended(running.state))
    await settle()
    open()
    await Effect.runPromise(Fiber.await(fiber))
    expect(events.filter(({ type }) => type === "output").length).toBe(600)
    expect(events).toEqual(await collect(0))
  })

  it("H1: a hub that was down and starts again tells its watchers to look themselves", async () => {
    const own = makeHub(rig.log)
    const first = await rig.submit({ id: "t1" })
    const events: WatchEvent[] = []
    const fiber = Effect.runFork(
      Stream.runForEach(streamOf(watchTask({ ...rig, hub: own }, "t1", 0)), (event) =>
        Effect.sync(() => void events.push(event)),
      ),
    )
    await until(() => events.length === 1)
    const running = started(first.state)
    await rig.append(running)
    await settle()
    expect(events.length).toBe(1)
    // The last record comes while the hub looks where the log ends, after it has told its watchers to look.
    const meanwhile = Effect.promise(async () => {
      await settle()
      await rig.append(ended(running.state))
    })
    rig.fail("head", { type: "before", times: 1, meanwhile })
    await Effect.runPromise(Effect.forkIn(own.run, scope))
    await Effect.runPromise(Fiber.await(fiber))
    expect(events).toEqual(await collect(0))
  })

  it("H4: a task that began while somebody watched is told to its end without asking the log", async () => {
    await rig.submit({ id: "t0" })
    const another = Effect.runFork(Stream.runDrain(streamOf(watchTask({ ...rig, hub }, "t0", 0))))
    await settle()
    const running = started((await rig.submit({ id: "t1" })).state)
    await rig.append(running)
    await output("first\n", 0)
    await settle()
    rig.fail("readTask", { type: "refused", times: 1_000 })
    rig.fail("last", { type: "refused", times: 1_000 })
    const one = watcher()
    await until(() => one.events.length === 3)
    await output("second\n", 6)
    rig.heal()
    await rig.append(ended(running.state))
    await one.done()
    expect(one.events).toEqual(await collect(0))
    await Effect.runPromise(Fiber.interrupt(another))
  })

  it("a subscription that ended is forgotten", async () => {
    await rig.submit({ id: "t1" })
    const one = watcher()
    await until(() => one.events.length === 1)
    await Effect.runPromise(Fiber.interrupt(one.fiber))
    await output("late", 0)
    await settle()
    expect(one.events.length).toBe(1)
  })
})

describe("what does a watcher of all tasks see?", () => {
  it("state events of the owners that it may see, in log order, past and coming", async () => {
    await rig.submit({ id: "a1", owner: "ann" })
    await rig.submit({ id: "b1", owner: "bob" })
    const events: WatchEvent[] = []
    const fiber = Effect.runFork(
      Stream.runForEach(streamOf(watchAll(rig, 0, (owner) => owner === "ann")), (event) =>
        Effect.sync(() => void (event.type !== "backend" && events.push(event))),
      ),
    )
    await until(() => events.length === 1)
    await rig.run(rig.log.appendOutput("a1", printed("no state")))
    await rig.submit({ id: "a2", owner: "ann" })
    await until(() => events.length === 2)
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect(events.map(({ taskId }) => taskId)).toEqual(["a1", "a2"])
    expect(seqs(events)).toEqual([1, 4])
    expect((await rig.run(rig.log.last("a1")))?.subject).toBe(stateSubject("a1"))
  })
})

const collect = (from: number): Promise<readonly WatchEvent[]> => rig.run(Stream.runCollect(watch(from)))

/** Begins to watch as soon as the task is there, as the door does. */
const watcherOf = async (taskId: string): Promise<readonly WatchEvent[]> => {
  for (;;) {
    if ((await rig.run(rig.store.log.last(taskId))) !== null) return collect(0)
    await settle(1)
  }
}
