/** When is the level of records raised, and who keeps it from that? */
import { Effect } from "effect"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { makeControlLog } from "../../../../actors/leader/controlLog.ts"
import { makeLevelWatch } from "../../../../actors/leader/levelWatch.ts"
import { type NodeLeaseData, nodeLeaseMs, nodeLeaseName } from "../../../../core/nodeLease.ts"
import type { Lease } from "../../../../core/ports/leases.ts"
import type { ControlRecord } from "../../../../core/record.ts"
import { heldBackBy, levelAfter } from "../../../../core/recordLevel.ts"
import { makeMemoryLeases } from "../../../../store/memory/index.ts"
import { writeLevel } from "../../../../store/shared/writeLevel.ts"
import { makeRig, type Rig } from "../../../support/actorRig.ts"
import { wired } from "../../../support/clusterRig.ts"
import { controlOf } from "../../../support/leaderRig.ts"

/** The leader's program: what it reads at most. */
const program = vi.hoisted(() => ({ levelMax: 3 }))
vi.mock(import("../../../../core/recordLevel.ts"), async (original) => ({
  ...(await original()),
  get RECORD_LEVEL_MAX() {
    return program.levelMax as 1
  },
}))
beforeEach(() => void (program.levelMax = 3))

const LEASE_MS = nodeLeaseMs(10_000)
const LOOK_MS = LEASE_MS / 10

const began = async (rig: Rig, node: string, isAlone = false) => {
  const control = makeControlLog({ ...rig, isAlone, node })
  await rig.run(control.beginTerm)
  return control
}
const levelsOf = async (rig: Rig) =>
  (await controlOf(rig)).map(({ record }) => [(record as ControlRecord).fact.type, (record as ControlRecord).level])

/** A leader that looks at who is there; nodes tell what they read, and renew at every look while they live. */
const watched = async () => {
  const rig = makeRig()
  const stored = makeMemoryLeases()
  const link = wired(stored, rig.clock)
  const control = await began(rig, "leader")
  const raised: number[] = []
  const { pass } = makeLevelWatch(
    { ...rig, raiseLevel: control.raiseLevel, onLevel: (level) => void raised.push(level) },
    link.leases,
  )
  const alive = new Map<string, Lease>()
  const come = async (node: string, level: number): Promise<void> => {
    const data: NodeLeaseData = { level, version: "1", roles: ["gateway"], host: "h", leaseMs: LEASE_MS }
    alive.set(node, await rig.run(stored.acquire(nodeLeaseName(node), node, data)))
  }
  const go = async (node: string): Promise<void> => {
    await rig.run(stored.release(alive.get(node)!))
    alive.delete(node)
  }
  const look = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += LOOK_MS) {
      await rig.manual.advance(LOOK_MS)
      for (const [node, lease] of alive) alive.set(node, await rig.run(stored.renew(lease, lease.data)))
      await rig.run(Effect.ignore(pass))
    }
  }
  await come("leader", program.levelMax)
  return { ...rig, alive, control, come, go, look, link, pass, raised, stored, rig }
}

describe("the level of records", () => {
  it("LV1 RL1 is raised by a record on `control`, for all that come after it, and told by the last one after a trim", async () => {
    const { log, look, raised, rig, run } = await watched()
    await look(2 * LEASE_MS)
    expect(await levelsOf(rig)).toEqual([
      ["termBegan", 1],
      ["levelRaised", 3],
    ])
    expect([log.level(), raised]).toEqual([3, [3]])
    const next = await began(rig, "next")
    await run(next.admit([]))
    await run(log.trimControl((await run(log.lastControl))!.seq))
    expect(await levelsOf(rig)).toEqual([["admitted", 3]])
    expect(levelAfter(await run(log.lastControl))).toBe(3)
  })

  it("LV1 I3 is not raised by a leader whose term is over", async () => {
    const { control, log, rig, run } = await watched()
    await began(rig, "next")
    await expect(run(control.raiseLevel(2))).rejects.toMatchObject({ code: "VERSION_CONFLICT" })
    expect([log.level(), await levelsOf(rig)]).toEqual([
      1,
      [
        ["termBegan", 1],
        ["termBegan", 1],
      ],
    ])
  })

  it("LV2 is what all read, and not raised while somebody is there who reads less", async () => {
    const { come, log, look } = await watched()
    await come("old", 1)
    await come("middle", 2)
    await look(5 * LEASE_MS)
    expect(log.level()).toBe(1)
  })

  it("LV2 is raised a whole lease after the last one has gone who reads less, and then as far as all read", async () => {
    const { come, go, log, look } = await watched()
    await come("old", 1)
    await come("middle", 2)
    await look(LEASE_MS)
    await go("old")
    await look(LEASE_MS)
    expect(log.level()).toBe(1)
    await look(LOOK_MS)
    expect(log.level()).toBe(2)
    await go("middle")
    await look(LEASE_MS)
    expect(log.level()).toBe(2)
    await look(LOOK_MS)
    expect(log.level()).toBe(3)
  })

  it("LV2 waits for one who is started again in the older version", async () => {
    const { come, go, log, look } = await watched()
    await come("old", 1)
    for (let round = 0; round < 4; round += 1) {
      await look(LEASE_MS / 2)
      await go("old")
      await look(LEASE_MS / 2)
      await come("old", 1)
    }
    expect(log.level()).toBe(1)
  })

  it("LV2 waits a whole lease since the term began: who was there before may be about to come back", async () => {
    const { log, look } = await watched()
    await look(LEASE_MS)
    expect(log.level()).toBe(1)
    await look(LOOK_MS)
    expect(log.level()).toBe(3)
  })

  it("LV2 is never more than the leader itself reads", async () => {
    program.levelMax = 2
    const { come, log, look } = await watched()
    await come("newer", 3)
    await look(2 * LEASE_MS)
    expect(log.level()).toBe(2)
  })

  it("LV3 is not held back for ever by one who died: its lease goes when it was silent for as long as it says", async () => {
    const { alive, come, log, look, run, stored } = await watched()
    await come("dead", 1)
    await look(LEASE_MS)
    alive.delete("dead")
    await look(LEASE_MS - LOOK_MS)
    expect(await run(stored.read(nodeLeaseName("dead")))).not.toBeNull()
    await look(2 * LOOK_MS)
    expect(await run(stored.read(nodeLeaseName("dead")))).toBeNull()
    await look(LEASE_MS)
    expect(log.level()).toBe(3)
  })

  it("LV3 counts nobody out, and raises nothing, for time in which nobody could look", async () => {
    const { come, alive, link, log, look, run, stored } = await watched()
    await come("cut", 1)
    await look(LOOK_MS)
    alive.delete("cut")
    link.wire = "down"
    await look(3 * LEASE_MS)
    link.wire = "up"
    await look(LEASE_MS - LOOK_MS)
    expect(await run(stored.read(nodeLeaseName("cut")))).not.toBeNull()
    expect(log.level()).toBe(1)
  })

  it("LV2 begins to wait anew after a time in which nobody could look: who was there then was not seen", async () => {
    const { link, log, look } = await watched()
    await look(LEASE_MS)
    link.wire = "down"
    await look(LEASE_MS)
    link.wire = "up"
    await look(LEASE_MS)
    expect(log.level()).toBe(1)
    await look(LOOK_MS)
    expect(log.level()).toBe(3)
  })

  it("RL1 is not lowered by the term of a leader that has not heard of it yet", async () => {
    const { control, rig, run } = await watched()
    await run(control.raiseLevel(2))
    const unaware = { ...rig.log, ...writeLevel() }
    await run(makeControlLog({ ...rig, log: unaware, isAlone: false, node: "next" }).beginTerm)
    expect((await levelsOf(rig)).at(-1)).toEqual(["termBegan", 2])
    expect(unaware.level()).toBe(2)
  })

  it("RL2 is the highest at once where a node is alone", async () => {
    const rig = makeRig()
    await began(rig, "n1", true)
    expect([rig.log.level(), await levelsOf(rig)]).toEqual([3, [["termBegan", 3]]])
  })

  it("says who holds it back: those who read less than somebody else", () => {
    const nodes = [1, 2, 3].map((level) => ({ level }))
    expect(heldBackBy(nodes, 1)).toEqual([{ level: 1 }, { level: 2 }])
    expect(heldBackBy(nodes.slice(0, 1), 1)).toEqual([])
    expect(heldBackBy([], 1)).toEqual([])
  })
})
