/** A worker comes to an engine where another one was: whom does it take for gone, and what does it take over? */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { Effect } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { isSurelyGone, thisProcess } from "../../../../actors/worker/hostProcess.ts"
import { berthError } from "../../../../core/errors.ts"
import { type WorkerLeaseData, workerLeaseName } from "../../../../core/workerLease.ts"
import { LEASE_MS, leaseScenes } from "../../../support/leaseScene.ts"
import { settle } from "../../../support/clock.ts"
import { AT_MS, printed } from "../../../support/task.ts"
import { until } from "../../../support/until.ts"

/** The longest pause before what the store refused is tried a second time. */
const STORE_RETRY_MS = 50
const scene = leaseScenes(afterEach)
const here = await Effect.runPromise(thisProcess)
/** One that was in this table of processes and is not any more. */
const dead = { ...here, startTicks: (here.startTicks ?? 0) + 1 }

describe("whether a process is gone", () => {
  it("is certain of one that began at another time, or whose number nobody has", async () => {
    expect(await Effect.runPromise(isSurelyGone(dead, here))).toBe(true)
    const child = spawn(process.execPath, ["-e", ""])
    await once(child, "exit")
    expect(await Effect.runPromise(isSurelyGone({ ...dead, pid: child.pid ?? 0 }, here))).toBe(true)
  })

  it("is never certain of itself, of another host, or of one of which too little is known", async () => {
    for (const other of [
      here,
      { ...dead, table: "elsewhere" },
      { ...dead, table: null },
      { ...dead, startTicks: null },
    ])
      expect(await Effect.runPromise(isSurelyGone(other, here))).toBe(false)
  })
})

describe("what was left on this engine", () => {
  /** A worker that is not there: its lease, a task that it holds, and the container that it left. */
  const left = async (data: Partial<WorkerLeaseData>, engineId = "e1") => {
    const it = await scene()
    const { engine, rig, submit } = it
    const lease = { leaseMs: LEASE_MS, process: here, engines: [engineId], held: [], adopting: [], detached: false }
    await rig.run(rig.leases.acquire(workerLeaseName("old"), "old", { ...lease, ...data }))
    await submit("t1")
    const start = {
      type: "start",
      epoch: 1,
      worker: "old",
      engineId,
      admission: 1,
      overdueMs: 1,
      nowMs: AT_MS,
    } as const
    const { state } = await rig.run(rig.turns.turn("t1", start))
    const job = { taskId: "t1", owner: "ann", attempt: 1, epoch: 1, worker: "old", spec: state.spec, slot: 0 }
    const program = { kind: "handler", handler: "noop", input: null } as const
    const place = await rig.run(engine.executorOf(engineId).create({ ...job, program }))
    const placed = {
      type: "place",
      epoch: 1,
      containerId: place.containerId ?? "",
      imageDigest: null,
      policy: null,
    } as const
    await rig.run(rig.turns.turn("t1", { ...placed, nowMs: AT_MS }))
    const container = engine.containers.get(place.containerId ?? "")
    if (container !== undefined) container.state = "paused"
    return it
  }
  const holderOf = async ({ rig }: Awaited<ReturnType<typeof left>>) => (await rig.state("t1")).holder

  it("PD1 by a process that is dead is adopted at once, also what its lease does not list; a held program goes on", async () => {
    const it = await left({ process: dead })
    const fresh = await it.start("e1")
    expect(await holderOf(it)).toMatchObject({ worker: fresh.role.worker.name, epoch: 2, runEpoch: 1 })
    expect(it.engine.containers.get("e1/t1-1")?.state).toBe("running")
    expect(await it.rig.run(it.rig.leases.read("w.old"))).toBeNull()
  })

  it("PD1 and whose adoption is in the log though its answer was lost is in the hands that the log names", async () => {
    const it = await left({ process: dead })
    const { rig } = it
    await rig.run(rig.log.appendOutput("t1", printed("before")))
    // By then the predecessor's last words have come: they do not count.
    let isAdopted = false
    const late = rig.store.log.appendOutput("t1", printed(" and late", 6))
    const meanwhile = Effect.tap(late, () => Effect.sync(() => void (isAdopted = true)))
    rig.fail("append", { type: "replyLost", times: 1, meanwhile })
    rig.fail("after")
    const starting = it.start("e1")
    // Time stands still while files of processes are read, or else the leader comes first.
    await until(() => isAdopted, "an adoption")
    await settle(200)
    await rig.manual.advance(STORE_RETRY_MS)
    const { counts, role } = await starting
    expect(await holderOf(it)).toMatchObject({ worker: role.worker.name, epoch: 2, runEpoch: 1 })
    expect([role.worker.heldCount(), counts.get("adopted")]).toEqual([1, 1])
    expect(it.engine.adoptedAt.get("e1/t1-1")).toEqual({ stdout: 6, stderr: 0 })
    await rig.manual.advance(3 * LEASE_MS)
    expect(await rig.state("t1")).toMatchObject({ status: "running", epoch: 2, workerDeaths: 0 })
  })

  it.each([["one that said that it goes", { detached: true }]] as const)("PD1 by %s is adopted", async (_, data) => {
    const it = await left(data)
    const fresh = await it.start("e1")
    expect((await holderOf(it))?.worker).toBe(fresh.role.worker.name)
  })

  it("PD1 by one that may live is left alone", async () => {
    const it = await left({})
    await it.start("e1")
    expect((await holderOf(it))?.worker).toBe("old")
  })

  it("is the leader's where the store lets a worker revoke nobody else", async () => {
    const it = await left({ process: dead })
    Object.assign(it.rig.leases, { revoke: () => Effect.fail(berthError("CONFIG_INVALID", "not yours")) })
    const fresh = await it.start("e1")
    expect(fresh.role.worker.name).not.toBe("old")
    expect((await holderOf(it))?.worker).toBe("old")
  })

  it.each([
    ["whose process is dead", { process: dead }],
    ["that said that it goes", { process: dead, detached: true }],
  ] as const)(
    "PD1 by one %s is left to whoever comes to its engine, however many come before to others",
    async (_, data) => {
      const it = await left(data, "e2")
      await it.start("e1")
      await it.rig.manual.advance(LEASE_MS / 2)
      expect((await holderOf(it))?.worker).toBe("old")
      const fresh = await it.start("e2")
      expect(await holderOf(it)).toMatchObject({ worker: fresh.role.worker.name, epoch: 2, runEpoch: 1 })
    },
  )

  it("PD1 on an engine to which nobody comes is given back when the lease of the dead one is over", async () => {
    const it = await left({ process: dead }, "e3")
    await it.start("e1")
    await it.rig.advanceUntil(async () => (await it.rig.state("t1")).workerDeaths === 1, "a loss", 60_000)
  })
})
