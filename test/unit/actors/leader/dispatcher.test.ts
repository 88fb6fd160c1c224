/** Who is admitted, and how many? */
import { describe, expect, it } from "vitest"
import { nextEpoch } from "../../../../core/task/state.ts"
import { makeRig, workerInfo } from "../../../support/actorRig.ts"
import { settle } from "../../../support/clock.ts"
import {
  admissionsOf,
  admitted,
  controlOf,
  endLeaders,
  lead,
  leaderRig,
  pullAll,
  submit,
} from "../../../support/leaderRig.ts"
import { ended, lostRecord, started } from "../../../support/task.ts"

endLeaders()

describe("how many are admitted (D3)?", () => {
  it("slots and lookahead, and one more for each that ends", async () => {
    const rig = await leaderRig({ config: { lookahead: 2 } }, 3)
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
    const rig = await leaderRig({ config: { ownerSlotsMax: 2, lookahead: 0 } }, 10)
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
    const rig = await leaderRig({ config: { ownerSlotsMax: 1_000 } }, 200)
    await submit(rig, 150)
    await lead(rig)
    expect((await admitted(rig)).length).toBe(150)
    for (const entry of await controlOf(rig)) expect(admissionsOf([entry]).length).toBeLessThanOrEqual(64)
  })

  it("lanes in order, and what is delayed not at all", async () => {
    const rig = await leaderRig({ config: { lookahead: 0 } }, 3)
    await submit(rig, 1, "low", { lane: "low" })
    await submit(rig, 1, "normal")
    await submit(rig, 1, "urgent", { lane: "urgent" })
    await submit(rig, 1, "later", { lane: "urgent", startAtMs: Number.MAX_SAFE_INTEGER })
    await submit(rig, 1, "high", { lane: "high" })
    await lead(rig)
    expect(await admitted(rig)).toEqual(["urgent0", "high0", "normal0"])
  })

  it("a task that is lost or retried is admitted again, for its next epoch", async () => {
    const rig = await leaderRig()
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
