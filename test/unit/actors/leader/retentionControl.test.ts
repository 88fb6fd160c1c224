/** RT3: does retention leave of the control records what a new leader, or a new fold of the log, needs? */
import { Effect, Stream } from "effect"
import { describe, expect, it } from "vitest"
import { makeRetention } from "../../../../actors/leader/retention.ts"
import { holdsSlot } from "../../../../core/readmodel/row.ts"
import type { ControlRecord } from "../../../../core/record.ts"
import type { TaskState } from "../../../../core/task/state.ts"
import { makeMemoryReadModel } from "../../../../store/memory/index.ts"
import type { Rig } from "../../../support/actorRig.ts"
import { settle } from "../../../support/clock.ts"
import { takeFeed } from "../../../support/feed.ts"
import { admitted, controlOf, endLeaders, gated, lead, leaderRig, submit } from "../../../support/leaderRig.ts"
import { admitted as admittedRecord, started, termBegan } from "../../../support/task.ts"

describe("RT3: what stays of the control records?", () => {
  endLeaders()
  const kept = async (rig: Rig): Promise<readonly string[]> =>
    (await controlOf(rig)).map(({ record }) => (record as ControlRecord).fact.type)
  const begin = async (rig: Rig, id: string): Promise<TaskState> => {
    const running = started(await rig.state(id), 0, rig.clock.nowMs())
    await rig.append(running)
    await settle()
    return running.state
  }
  /** What a node that begins with nothing but the log finds: which waiting tasks hold a slot. */
  const foldedAnew = async (rig: Rig): Promise<readonly string[]> => {
    const { readModel } = makeMemoryReadModel()
    await rig.run(readModel.apply(await rig.run(takeFeed(rig.store.log, 0, await count(rig)))))
    return (await rig.run(readModel.scan("pending", "", 100))).filter(holdsSlot).map(({ state }) => state.id)
  }
  const count = async (rig: Rig): Promise<number> => {
    const controls = (await controlOf(rig)).length
    const tasks = await Promise.all(["ann0", "ann1", "ann2"].map((id) => rig.run(rig.store.log.readTask(id, 0, 100))))
    return controls + tasks.flat().length
  }

  it("the last one, and from the oldest on that is not settled; a new fold of the log finds the same slots", async () => {
    const rig = await leaderRig()
    const { dispatcher } = await lead(rig)
    const trim = () => rig.run(makeRetention({ ...rig, ...dispatcher, onNotRemoved: () => undefined }).pass)
    for (let n = 0; n < 3; n += 1) {
      await submit(rig, 1, "ann", {}, n)
      await settle()
    }
    expect(await kept(rig)).toEqual(["termBegan", "admitted", "admitted", "admitted"])
    await begin(rig, "ann1")
    await trim()
    // The oldest still waits to be started, so only the term's begin goes.
    expect(await kept(rig)).toEqual(["admitted", "admitted", "admitted"])
    await begin(rig, "ann0")
    await trim()
    expect(await admitted(rig)).toEqual(["ann2"])
    expect(await foldedAnew(rig)).toEqual(["ann2"])
    await begin(rig, "ann2")
    await trim()
    // It names the term, and its version is what the next append expects.
    expect(await admitted(rig)).toEqual(["ann2"])
    expect(await foldedAnew(rig)).toEqual([])
    await submit(rig, 1, "bob")
    await settle()
    expect(await admitted(rig)).toEqual(["ann2", "bob0"])
  })

  it("what another leader wrote, which this one has not read yet", async () => {
    const rig = await leaderRig()
    let stopped = false
    const feed = (seq: number) => Stream.filter(rig.log.feed(seq), () => !stopped)
    const { dispatcher } = await lead(rig, { log: { ...rig.log, feed } })
    await settle()
    stopped = true
    const version = (await rig.run(rig.store.log.lastControl))?.seq ?? 0
    const next = await rig.run(rig.store.log.append("control", version, termBegan(2)))
    const theirs = await rig.run(rig.store.log.append("control", next, admittedRecord({ taskId: "ann0", epoch: 1 })))
    await rig.run(rig.store.log.append("control", theirs, termBegan(3)))
    await rig.run(makeRetention({ ...rig, ...dispatcher, onNotRemoved: () => undefined }).pass)
    expect(await kept(rig)).toEqual(["termBegan", "admitted", "termBegan"])
  })

  it("all, while the leader has not read so far as to decide", async () => {
    const rig = await leaderRig()
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => (open = resolve))
    await rig.run(rig.store.log.append("control", 0, termBegan(1)))
    const behind = { ...rig.readModel, checkpoint: Effect.succeed(0) }
    const log = { ...rig.log, feed: (seq: number) => gated(rig.log.feed(seq), gate) }
    const { dispatcher } = await lead(rig, { readModel: behind, log })
    const trim = () => rig.run(makeRetention({ ...rig, ...dispatcher, onNotRemoved: () => undefined }).pass)
    await trim()
    expect(await kept(rig)).toEqual(["termBegan", "termBegan"])
    open()
    await settle()
    await trim()
    expect(await kept(rig)).toEqual(["termBegan"])
  })
})
