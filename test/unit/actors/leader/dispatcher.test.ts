/** Who is admitted, how many, and by which leader? */
import { Effect, Fiber, Stream } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { type Dispatcher, type DispatcherDeps, makeDispatcher } from "../../../../actors/leader/dispatcher.ts"
import { CONTROL_SUBJECT, type ControlRecord, type LogEntry } from "../../../../core/record.ts"
import type { WakeUp } from "../../../../core/ports/queue.ts"
import { nextEpoch } from "../../../../core/task/state.ts"
import type { TaskSpec } from "../../../../core/task/spec.ts"
import { makeRig, type Rig, type RigOptions, unavailable, workerInfo } from "../../../support/actorRig.ts"
import { settle } from "../../../support/clock.ts"
import { ended, lostRecord, started, termBegan } from "../../../support/task.ts"
import { until } from "../../../support/until.ts"

interface Led {
  readonly rig: Rig
  readonly dispatcher: Dispatcher
  /** Ends when the leader does, with the code of its failure. */
  readonly ended: Promise<string>
  readonly stop: () => Promise<void>
}
const running: Led[] = []
afterEach(async () => {
  for (const { stop } of running.splice(0)) await stop()
})

const lead = async (rig: Rig, more: Partial<DispatcherDeps> = {}): Promise<Led> => {
  const dispatcher = makeDispatcher({ ...rig, node: "n1", onAdmitted: () => {}, onEntries: () => {}, ...more })
  const fiber = Effect.runFork(dispatcher.run)
  const end = Effect.runPromise(Fiber.await(fiber)).then((exit) =>
    exit._tag === "Failure" ? (JSON.stringify(exit.cause).match(/"code":"(\w+)"/)?.[1] ?? "interrupted") : "ended",
  )
  const led = { rig, dispatcher, ended: end, stop: () => Effect.runPromise(Fiber.interrupt(fiber)) as Promise<void> }
  running.push(led)
  await settle()
  return led
}
const rigged = async (options: RigOptions = {}, slots = 4): Promise<Rig> => {
  const rig = makeRig(options)
  await rig.run(rig.workers.put(workerInfo({ slots })))
  return rig
}
const submit = async (rig: Rig, count: number, owner = "ann", spec: Partial<TaskSpec> = {}, from = 0): Promise<void> => {
  for (let n = from; n < from + count; n += 1) await rig.submit({ id: `${owner}${n}`, owner, spec })
}
const admissionsOf = (entries: readonly LogEntry[]): readonly string[] =>
  entries
    .flatMap(({ record }) => (record.kind === "control" ? [(record as ControlRecord).fact] : []))
    .flatMap((fact) => (fact.type === "admitted" ? fact.admissions.map(({ taskId }) => taskId) : []))
const controlOf = async (rig: Rig): Promise<readonly LogEntry[]> => {
  const entries: LogEntry[] = []
  for (let seq = 0; ; ) {
    const next = await rig.run(rig.store.log.after(CONTROL_SUBJECT, seq))
    if (next === null) return entries
    entries.push(next)
    seq = next.seq
  }
}
const admitted = async (rig: Rig): Promise<readonly string[]> => admissionsOf(await controlOf(rig))
const pullAll = async (rig: Rig): Promise<readonly WakeUp[]> => {
  const waiting = await rig.run(rig.queue.waiting("default"))
  const count = Object.values(waiting).reduce((sum, n) => sum + n, 0)
  return count === 0 ? [] : (await rig.run(rig.queue.pull("default", count, 0))).map(({ wakeUp }) => wakeUp)
}

/** A feed of which nothing comes before `gate` is open. */
const gated = <A, E>(feed: Stream.Stream<A, E>, gate: Promise<void>): Stream.Stream<A, E> =>
  Stream.mapEffect(feed, (entries) => Effect.as(Effect.promise(() => gate), entries))

describe("how many are admitted (D3)?", () => {
  it("slots and lookahead, and one more for each that ends", async () => {
    const rig = await rigged({ config: { lookahead: 2 } }, 3)
    await submit(rig, 10)
    await lead(rig)
    expect(await admitted(rig)).toEqual(["ann0", "ann1", "ann2", "ann3", "ann4"])
    const wakeUps = await pullAll(rig)
    expect(wakeUps.map(({ taskId }) => taskId)).toEqual(await admitted(rig))
    const runs = started(await rig.state("ann0"))
    await rig.append(runs)
    await settle()
    expect((await admitted(rig)).length).toBe(5)
    await rig.append(ended(runs.state))
    await settle()
    expect(await admitted(rig)).toEqual(["ann0", "ann1", "ann2", "ann3", "ann4", "ann5"])
  })

  it("none without a worker that takes work; a worker that comes is noticed", async () => {
    const rig = makeRig()
    await submit(rig, 3)
    await rig.run(rig.workers.put(workerInfo({ worker: "w1", draining: true })))
    await rig.run(rig.workers.put(workerInfo({ worker: "w2", accepting: false })))
    const { dispatcher } = await lead(rig)
    await rig.manual.advance(1_000)
    expect([await admitted(rig), dispatcher.fold.waiting.size, dispatcher.fold.slots.size]).toEqual([[], 3, 0])
    await rig.run(rig.workers.put(workerInfo({ worker: "w3" })))
    await rig.manual.advance(250)
    expect((await admitted(rig)).length).toBe(3)
  })

  it("no owner more than its limit, and the others are not held up by it", async () => {
    const rig = await rigged({ config: { ownerSlotsMax: 2, lookahead: 0 } }, 10)
    await submit(rig, 5, "ann")
    await submit(rig, 3, "bob")
    await lead(rig)
    expect((await admitted(rig)).toSorted()).toEqual(["ann0", "ann1", "bob0", "bob1"])
  })

  it("tasks whose backend is away wait and hold nothing, the others go on", async () => {
    const rig = makeRig({ config: { lookahead: 0 } })
    await rig.run(rig.workers.put(workerInfo({ slots: 2, kinds: ["handler"] })))
    await submit(rig, 4, "ann", { kind: "image" })
    await submit(rig, 2, "bob", { kind: "handler" })
    await lead(rig)
    expect((await admitted(rig)).toSorted()).toEqual(["bob0", "bob1"])
  })

  it("more than one record takes, in as many records as it needs, each within its limit", async () => {
    const rig = await rigged({ config: { ownerSlotsMax: 1_000 } }, 200)
    await submit(rig, 150)
    await lead(rig)
    expect((await admitted(rig)).length).toBe(150)
    for (const entry of await controlOf(rig)) expect(admissionsOf([entry]).length).toBeLessThanOrEqual(64)
  })

  it("lanes in order, and what is delayed not at all", async () => {
    const rig = await rigged({ config: { lookahead: 0 } }, 3)
    await submit(rig, 1, "low", { lane: "low" })
    await submit(rig, 1, "normal")
    await submit(rig, 1, "urgent", { lane: "urgent" })
    await submit(rig, 1, "later", { lane: "urgent", startAtMs: Number.MAX_SAFE_INTEGER })
    await submit(rig, 1, "high", { lane: "high" })
    await lead(rig)
    expect(await admitted(rig)).toEqual(["urgent0", "high0", "normal0"])
  })

  it("a task that is lost or retried is admitted again, for its next epoch", async () => {
    const rig = await rigged()
    await submit(rig, 1)
    await lead(rig)
    await pullAll(rig)
    const runs = started(await rig.state("ann0"))
    await rig.append(runs)
    await rig.append(lostRecord(runs.state))
    await settle()
    expect(await admitted(rig)).toEqual(["ann0", "ann0"])
    expect(nextEpoch(await rig.state("ann0"))).toBe(2)
  })
})

describe("which leader may admit?", () => {
  it("D1: its own term is in the log before its first admission", async () => {
    const rig = await rigged()
    await submit(rig, 3)
    await lead(rig)
    const facts = (await controlOf(rig)).map(({ record }) => (record as ControlRecord).fact)
    expect(facts[0]).toMatchObject({ type: "termBegan", node: "n1", term: 1 })
    expect(facts.slice(1).every((fact) => fact.type === "admitted" && fact.term === 1)).toBe(true)
  })

  it("D1: nothing is admitted before its fold has read that far, also when the read model is behind", async () => {
    const rig = await rigged()
    await submit(rig, 3)
    // A read model that is kept elsewhere and knows nothing yet, and a feed that the test lets through.
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const log = { ...rig.log, feed: (after: number) => gated(rig.log.feed(after), gate) }
    const empty = {
      ...rig.readModel,
      checkpoint: Effect.succeed(0),
      scan: () => Effect.succeed([]),
    }
    const { dispatcher } = await lead(rig, { log, readModel: empty })
    await rig.manual.advance(2_000)
    expect([dispatcher.isDeciding(), await admitted(rig)]).toEqual([false, []])
    open()
    await until(() => dispatcher.isDeciding())
    await settle()
    expect((await admitted(rig)).length).toBe(3)
  })

  it("D4: of two dispatchers on one log the older one's next admission conflicts, and it ends", async () => {
    const rig = await rigged({ config: { lookahead: 0 } }, 2)
    await submit(rig, 2)
    const older = await lead(rig)
    expect((await admitted(rig)).length).toBe(2)
    const younger = await lead(rig, { node: "n2" })
    await submit(rig, 4, "bob")
    const runs = started(await rig.state("ann0"))
    await rig.append(runs)
    await rig.append(ended(runs.state))
    await rig.manual.advance(1_000)
    expect(await older.ended).toBe("WRONG_STATE")
    expect(younger.dispatcher.isDeciding()).toBe(true)
    const facts = (await controlOf(rig)).map(({ record }) => (record as ControlRecord).fact)
    const secondTerm = facts.findIndex((fact) => fact.type === "termBegan" && fact.term === 2)
    expect(facts.slice(secondTerm).every(({ term }) => term === 2)).toBe(true)
    // And nothing was admitted twice for one epoch.
    const all = await admitted(rig)
    expect(new Set(all).size).toBe(all.length)
  })

  it("D4: a paused leader that wakes up after another term has begun admits nothing", async () => {
    const rig = await rigged()
    const led = await lead(rig)
    const last = await rig.run(rig.store.log.lastControl)
    await rig.run(rig.store.log.append(CONTROL_SUBJECT, last?.seq ?? 0, termBegan(9)))
    await submit(rig, 2)
    expect(await led.ended).toBe("WRONG_STATE")
    expect(await admitted(rig)).toEqual([])
  })

  it("D4: an append whose reply was lost is its own, and no conflict", async () => {
    const rig = await rigged()
    const led = await lead(rig)
    rig.fail("append", { type: "replyLost", times: 1 })
    await submit(rig, 1)
    await settle()
    await submit(rig, 2, "bob")
    await settle()
    expect(await admitted(rig)).toEqual(["ann0", "bob0", "bob1"])
    expect(led.dispatcher.isDeciding()).toBe(true)
  })
})

describe("when something fails in between", () => {
  it("an append that is refused keeps everybody's place in the line", async () => {
    const rig = await rigged({ config: { lookahead: 0 } }, 3)
    const { dispatcher } = await lead(rig)
    rig.fail("append", { type: "refused", times: 3, error: unavailable })
    for (const [id, lane] of [
      ["a", "normal"],
      ["b", "urgent"],
      ["c", "normal"],
      ["d", "normal"],
    ] as const)
      await rig.submit({ id, owner: id, spec: { lane } })
    await settle()
    expect(await admitted(rig)).toEqual([])
    expect(dispatcher.fold.waiting.size).toBe(4)
    await rig.manual.advance(2_000)
    expect(await admitted(rig)).toEqual(["b", "a", "c"])
  })

  it("a task that is cancelled while its admission fails is not put back", async () => {
    const rig = await rigged()
    const { dispatcher } = await lead(rig)
    rig.fail("append", { type: "refused", times: 1, error: unavailable })
    const log = rig.store.log
    const { state } = await rig.submit({ id: "t1" })
    const version = (await rig.run(log.last("t1")))?.seq ?? 0
    await rig.run(log.append("t.t1.s", version, ended(state, { status: "cancelled", reason: "cancelled" })))
    await rig.manual.advance(2_000)
    expect([dispatcher.fold.waiting.size, dispatcher.fold.slots.size, dispatcher.fold.admitting.size]).toEqual([0, 0, 0])
  })

  it("D2: a wake-up that could not be published is published by the next pass, once", async () => {
    const rig = await rigged()
    let broken = true
    const queue: Rig["queue"] = {
      ...rig.queue,
      publish: (wakeUps) => (broken ? Effect.fail(unavailable) : rig.queue.publish(wakeUps)),
    }
    const { dispatcher } = await lead(rig, { queue })
    await submit(rig, 2)
    await rig.manual.advance(1_000)
    expect((await admitted(rig)).length).toBe(2)
    expect(await pullAll(rig)).toEqual([])
    broken = false
    await rig.run(dispatcher.republish)
    await rig.run(dispatcher.republish)
    expect((await pullAll(rig)).map(({ taskId }) => taskId).toSorted()).toEqual(["ann0", "ann1"])
    await rig.manual.advance(2_000)
    expect((await admitted(rig)).length).toBe(2)
  })

  it("D2: what a dead leader admitted and did not publish, the next one publishes, and admits nobody twice", async () => {
    const rig = await rigged({ failpoints: { "admit.afterAppend": Effect.never } })
    await submit(rig, 3)
    const dead = await lead(rig)
    await dead.stop()
    expect([(await admitted(rig)).length, await pullAll(rig)]).toEqual([3, []])
    const next = makeRig()
    const second = await lead(rig, { failpoints: next.failpoints })
    expect((await pullAll(rig)).map(({ taskId, epoch }) => [taskId, epoch])).toEqual([
      ["ann0", 1],
      ["ann1", 1],
      ["ann2", 1],
    ])
    expect((await admitted(rig)).length).toBe(3)
    expect(second.dispatcher.fold.slots.size).toBe(3)
  })

  it("a leader that dies between choosing and admitting leaves nothing behind", async () => {
    const rig = await rigged({ failpoints: { "admit.beforeAppend": Effect.never } })
    await submit(rig, 3)
    const dead = await lead(rig)
    await dead.stop()
    expect(await admitted(rig)).toEqual([])
    await lead(rig, { failpoints: makeRig().failpoints })
    expect((await admitted(rig)).length).toBe(3)
  })

  it("the feed's end is the leader's end, with an error that may be tried again", async () => {
    const rig = await rigged()
    const led = await lead(rig)
    rig.store.close()
    expect(await led.ended).toBe("STORE_UNAVAILABLE")
  })
})
