/** Which leader may admit, and what does a failure in between cost? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { CONTROL_SUBJECT, type ControlRecord } from "../../../../core/record.ts"
import { makeRig, type Rig, unavailable } from "../../../support/actorRig.ts"
import { settle } from "../../../support/clock.ts"
import { admitted, controlOf, endLeaders, gated, lead, leaderRig, pullAll, submit } from "../../../support/leaderRig.ts"
import { ended, started, termBegan } from "../../../support/task.ts"
import { until } from "../../../support/until.ts"

endLeaders()

describe("which leader may admit?", () => {
  it("D1: its own term is in the log before its first admission", async () => {
    const rig = await leaderRig()
    await submit(rig, 3)
    await lead(rig)
    const facts = (await controlOf(rig)).map(({ record }) => (record as ControlRecord).fact)
    expect(facts[0]).toMatchObject({ type: "termBegan", node: "n1", term: 1 })
    expect(facts.slice(1).every((fact) => fact.type === "admitted" && fact.term === 1)).toBe(true)
  })

  it("D1: nothing is admitted before its fold has read that far, also when the read model is behind", async () => {
    const rig = await leaderRig()
    await submit(rig, 3)
    // A read model that is kept elsewhere and knows nothing yet, and a feed that the test lets through.
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const log = { ...rig.log, feed: (after: number) => gated(rig.log.feed(after), gate) }
    const behind = { ...rig.readModel, checkpoint: Effect.succeed(0) }
    const { dispatcher } = await lead(rig, { log, readModel: behind })
    expect(dispatcher.fold.waiting.size).toBe(3)
    await rig.manual.advance(2_000)
    expect([dispatcher.isDeciding(), await admitted(rig)]).toEqual([false, []])
    open()
    await until(() => dispatcher.isDeciding())
    await settle()
    expect((await admitted(rig)).length).toBe(3)
  })

  it("D4: of two dispatchers on one log the older one's next admission conflicts, and it ends", async () => {
    const rig = await leaderRig({ config: { lookahead: 0 } }, 2)
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
    const rig = await leaderRig()
    const led = await lead(rig)
    const last = await rig.run(rig.store.log.lastControl)
    await rig.run(rig.store.log.append(CONTROL_SUBJECT, last?.seq ?? 0, termBegan(9)))
    await submit(rig, 2)
    expect(await led.ended).toBe("WRONG_STATE")
    expect(await admitted(rig)).toEqual([])
  })

  it("D4: an append whose reply was lost is its own, and no conflict", async () => {
    const rig = await leaderRig()
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
    const rig = await leaderRig({ config: { lookahead: 0 } }, 3)
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
    const rig = await leaderRig()
    const { dispatcher } = await lead(rig)
    rig.fail("append", { type: "refused", times: 1, error: unavailable })
    const log = rig.store.log
    const { state } = await rig.submit({ id: "t1" })
    const version = (await rig.run(log.last("t1")))?.seq ?? 0
    await rig.run(log.append("t.t1.s", version, ended(state, { status: "cancelled", reason: "cancelled" })))
    await rig.manual.advance(2_000)
    expect([dispatcher.fold.waiting.size, dispatcher.fold.slots.size, dispatcher.fold.admitting.size]).toEqual([
      0, 0, 0,
    ])
  })

  it("D2: a wake-up that could not be published is published by the next pass, once", async () => {
    const rig = await leaderRig()
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
    const rig = await leaderRig({ failpoints: { "admit.afterAppend": Effect.never } })
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
    const rig = await leaderRig({ failpoints: { "admit.beforeAppend": Effect.never } })
    await submit(rig, 3)
    const dead = await lead(rig)
    await dead.stop()
    expect(await admitted(rig)).toEqual([])
    await lead(rig, { failpoints: makeRig().failpoints })
    expect((await admitted(rig)).length).toBe(3)
  })

  it("the feed's end is the leader's end, with an error that may be tried again", async () => {
    const rig = await leaderRig()
    const led = await lead(rig)
    rig.store.close()
    expect(await led.ended).toBe("STORE_UNAVAILABLE")
  })
})
