/** Who is seen silent, and what becomes of tasks that nobody lists? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { makeLossWatch } from "../../../../actors/leader/lossWatch.ts"
import type { Lease } from "../../../../core/ports/leases.ts"
import { type WorkerLeaseData, workerLeaseName } from "../../../../core/workerLease.ts"
import { makeMemoryLeases } from "../../../../store/memory/index.ts"
import { makeRig, workerInfo } from "../../../support/actorRig.ts"
import { AT_MS } from "../../../support/task.ts"

const dataOf = (more: Partial<WorkerLeaseData> = {}): WorkerLeaseData => ({
  leaseMs: 10_000,
  process: { table: null, pid: 1, startTicks: null },
  engines: ["e1"],
  held: [],
  adopting: [],
  detached: false,
  ...more,
})

const watched = () => {
  const rig = makeRig({ config: { reconcileMs: 100 } })
  const leases = makeMemoryLeases()
  const lost: string[] = []
  const workersLost: string[] = []
  const watch = makeLossWatch(
    {
      ...rig,
      leases,
      onWorkerLost: (worker) => void workersLost.push(worker),
      onTaskLost: (taskId) => void lost.push(taskId),
    },
    leases,
  )
  /** Looks every half second. */
  const look = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 500) {
      await rig.manual.advance(500)
      await rig.run(watch.pass)
    }
  }
  const acquire = (worker: string, more: Partial<WorkerLeaseData> = {}): Promise<Lease> =>
    rig.run(leases.acquire(workerLeaseName(worker), worker, dataOf(more)))
  const started = async (id: string, worker: string, kind: "handler" | "image" = "handler"): Promise<void> => {
    await rig.submit({ id, spec: { kind } })
    const start = { type: "start", epoch: 1, worker, engineId: "e1", admission: 1, overdueMs: 1, nowMs: AT_MS } as const
    await rig.run(rig.turns.turn(id, start))
  }
  return { ...rig, leases, watch, look, acquire, started, lost, workersLost }
}

describe("a worker that is silent", () => {
  it("LW1: is revoked after its own lease and the grace, not before, and its tasks are lost", async () => {
    const rig = watched()
    await rig.acquire("w1", { held: [["t1", 1]], leaseMs: 20_000 })
    await rig.started("t1", "w1")
    await rig.run(rig.workers.put(workerInfo()))
    await rig.look(20_500)
    expect([rig.workersLost, rig.lost]).toEqual([[], []])
    await rig.look(500)
    expect([rig.workersLost, rig.lost]).toEqual([["w1"], ["t1"]])
    expect(await rig.state("t1")).toMatchObject({ status: "pending", workerDeaths: 1 })
    expect(await rig.run(rig.workers.list)).toEqual([])
  })

  it("LW1: no time counts in which nobody looked", async () => {
    const rig = watched()
    await rig.acquire("w1")
    await rig.look(10_000)
    await rig.manual.advance(60_000)
    await rig.look(10_500)
    expect(rig.workersLost).toEqual([])
    await rig.look(1_000)
    expect(rig.workersLost).toEqual(["w1"])
  })

  it("LW1: one that renews at the last moment keeps its right", async () => {
    const rig = watched()
    let lease = await rig.acquire("w1")
    for (let round = 0; round < 3; round += 1) {
      await rig.look(10_500)
      lease = await rig.run(rig.leases.renew(lease, dataOf()))
    }
    expect(rig.workersLost).toEqual([])
  })

  it("LW5: meets its revoked lease when it comes back; nothing of it is there for ever", async () => {
    const rig = watched()
    const lease = await rig.acquire("w1")
    await rig.look(12_000)
    expect(await Effect.runPromise(Effect.flip(rig.leases.renew(lease, dataOf())))).toMatchObject({
      code: "VERSION_CONFLICT",
    })
    await rig.look(70_000)
    expect(await rig.run(rig.leases.list("w."))).toEqual([])
  })
})

describe("a task whose holder", () => {
  it("LW2: has no lease is lost, whoever that was", async () => {
    const rig = watched()
    await rig.started("t1", "gone")
    await rig.look(500)
    expect(rig.lost).toEqual(["t1"])
  })

  it("LW2: was never fed: nothing ran, so nothing is counted and nothing can overlap", async () => {
    const rig = watched()
    await rig.started("t1", "gone", "image")
    await rig.look(500)
    const state = await rig.state("t1")
    expect(state).toMatchObject({ workerDeaths: 0, overlapPossible: false })
    expect(state.left).toBeUndefined()
  })

  it("LW3: is being settled by a living worker is left to it, and not when that one has died too", async () => {
    const rig = watched()
    await rig.run(rig.leases.revoke(await rig.acquire("w1", { held: [["t1", 1]] })))
    await rig.acquire("w2", { adopting: ["w1"] })
    await rig.started("t1", "w1")
    await rig.look(10_000)
    expect(rig.lost).toEqual([])
    await rig.look(2_000)
    expect([rig.workersLost, rig.lost]).toEqual([["w2"], ["t1"]])
  })

  it("LW4: lives and does not list it, twice after it was seen, has lost it; once may be too early", async () => {
    const rig = watched()
    let lease = await rig.acquire("w1")
    await rig.started("t1", "w1")
    await rig.started("t2", "w1")
    const renew = async (...held: readonly string[]): Promise<void> => {
      lease = await rig.run(rig.leases.renew(lease, dataOf({ held: held.map((id) => [id, 1]) })))
      await rig.look(1_000)
    }
    await rig.look(1_000)
    await renew("t2")
    expect(rig.lost).toEqual([])
    await renew("t2")
    await renew("t2")
    expect(rig.lost).toEqual(["t1"])
  })
})
