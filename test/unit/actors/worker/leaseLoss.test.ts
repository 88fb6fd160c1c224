/** A worker that cannot renew its lease: does it stop what runs in time, and who goes on with it? */
import { afterEach, describe, expect, it } from "vitest"
import { type Handler, handlerExecutor } from "../../../../actors/executor/handler/index.ts"
import { LEASE_MS, leaseScenes } from "../../../support/leaseScene.ts"

const scene = leaseScenes(afterEach)

describe("a link that is down", () => {
  it("for less than a lease harms nothing: no pause, no loss", async () => {
    const { engine, rig, running, w1 } = await scene()
    await running("t1")
    w1.link.state = "cut"
    await rig.manual.advance(4_000)
    w1.link.state = "up"
    await rig.advanceUntil(async () => (await rig.state("t1")).status === "completed", "an end")
    expect(engine.events).toEqual(["start e1/t1-1", "exit e1/t1-1", "remove e1/t1-1"])
    expect(w1.counts.get("fenced")).toBeUndefined()
  })

  it("for everybody: programs are paused, then go on; nothing is started again, nothing lost (FE2, LW1)", async () => {
    const { engine, leader, rig, running, w1, w2 } = await scene()
    await running("t1")
    await running("t2")
    for (const { link } of [w1, w2, leader]) link.state = "cut"
    await rig.manual.advance(15_000)
    expect([...engine.containers.values()].map(({ state }) => state)).toEqual(["paused", "paused"])
    for (const { link } of [w1, w2, leader]) link.state = "up"
    for (const id of ["t1", "t2"])
      await rig.advanceUntil(async () => (await rig.state(id)).status === "completed", `an end of ${id}`)
    expect(engine.events.filter((event) => event.startsWith("start"))).toHaveLength(2)
    expect([leader.lost, leader.workersLost]).toEqual([[], []])
    expect(await rig.state("t1")).toMatchObject({ epoch: 1, workerDeaths: 0, overlapPossible: false })
  })

  it("for one worker, three leases long: paused before another starts it, removed when it is back, its end refused", async () => {
    const { engine, leader, rig, running, w1, w2 } = await scene()
    const holder = await running("t1")
    const [cut, other] = holder === w1.role.worker.name ? [w1, w2] : [w2, w1]
    cut.link.state = "cut"
    await rig.manual.advance(3 * LEASE_MS)
    const started = engine.events.findIndex((event) => event === "start e1/t1-2")
    expect(engine.events.indexOf("pause e1/t1-1")).toBeGreaterThan(-1)
    expect(engine.events.indexOf("pause e1/t1-1")).toBeLessThan(started)
    expect(leader.workersLost).toEqual([holder])
    cut.link.state = "up"
    await rig.advanceUntil(async () => (await rig.state("t1")).status === "completed", "an end")
    const state = await rig.state("t1")
    expect(state).toMatchObject({ epoch: 2, attempt: 1, workerDeaths: 1, overlapPossible: false })
    expect(state.result).toMatchObject({ epoch: 2 })
    expect(engine.overlaps).toEqual([])
    await rig.advanceUntil(() => cut.counts.get("leasesLost") === 1, "the loss to be noticed")
    await rig.advanceUntil(() => cut.role.worker.name !== holder, "another name")
    await rig.advanceUntil(() => engine.containers.size === 0, "an empty engine")
    // Under its new name it works again.
    await other.crash()
    await running("t9")
    expect((await rig.state("t9")).holder?.worker).toBe(cut.role.worker.name)
  })

  it("one way only: what it cannot know counts for nothing, and is recognised when answers come (WL1, WL2)", async () => {
    const { engine, leader, rig, running, w1, w2 } = await scene()
    const holder = await running("t1")
    const cut = holder === w1.role.worker.name ? w1 : w2
    cut.link.state = "deaf"
    await rig.manual.advance(LEASE_MS)
    expect(engine.containers.get("e1/t1-1")?.state).toBe("paused")
    cut.link.state = "up"
    await rig.advanceUntil(async () => (await rig.state("t1")).status === "completed", "an end")
    expect(leader.workersLost).toEqual([])
    expect(await rig.state("t1")).toMatchObject({ epoch: 1 })
  })
})

describe("what the fence reaches", () => {
  it("FE1: a program whose container is only just there is not fed before the fence is open again", async () => {
    const { engine, rig, submit, w1, w2 } = await scene({ slow: true })
    await submit("t1")
    await rig.advanceUntil(async () => (await rig.state("t1")).phase === "starting", "a start")
    const holder = (await rig.state("t1")).holder?.worker
    const cut = holder === w1.role.worker.name ? w1 : w2
    cut.leaseLink.state = "cut"
    await rig.advanceUntil(async () => (await rig.state("t1")).holder?.containerId !== null, "a place")
    await rig.manual.advance(100)
    expect([cut.counts.get("fenced"), engine.events]).toEqual([1, []])
    cut.leaseLink.state = "up"
    await rig.advanceUntil(() => engine.events.includes("start e1/t1-1"), "a program")
  })

  it("a handler cannot be held: it is told to stop, and starts again with no attempt and no death counted", async () => {
    const { rig } = await scene()
    let begun = 0
    let aborted = 0
    const noop: Handler = (_, { signal }) => {
      begun += 1
      return new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => {
          aborted += 1
          reject(signal.reason)
        }),
      )
    }
    const executor = handlerExecutor({ clock: rig.clock, handlers: { noop } })
    const worker = await rig.startWorker([executor], { handlers: ["noop"] })
    await rig.submit({ id: "h1" })
    await rig.advanceUntil(() => begun === 1, "a handler")
    worker.leaseLink.state = "cut"
    await rig.advanceUntil(() => aborted === 1, "a fence")
    worker.leaseLink.state = "up"
    await rig.advanceUntil(() => begun === 2, "another start")
    expect(await rig.state("h1")).toMatchObject({ epoch: 2, attempt: 1, workerDeaths: 0, overlapPossible: false })
  })

  it("FE3: an engine that hangs is told of, once, with the tasks", async () => {
    const { hang, rig, running, w1, w2 } = await scene()
    const holder = await running("t1")
    const cut = holder === w1.role.worker.name ? w1 : w2
    hang(true)
    cut.link.state = "cut"
    await rig.manual.advance(LEASE_MS)
    expect(cut.counts.get("fenceUnconfirmed")).toBe(1)
    await rig.manual.advance(LEASE_MS)
    expect(cut.counts.get("fenceUnconfirmed")).toBe(1)
  })

  it("says so in the log where the log can be reached, and says when it goes on", async () => {
    const { rig, running, w1, w2 } = await scene()
    const holder = await running("t1")
    const cut = holder === w1.role.worker.name ? w1 : w2
    cut.leaseLink.state = "cut"
    await rig.advanceUntil(async () => (await rig.state("t1")).phase === "fenced", "a fenced task")
    cut.leaseLink.state = "up"
    await rig.advanceUntil(async () => (await rig.state("t1")).phase === "running", "a running task")
  })
})

describe("a worker that dies", () => {
  it("its task runs elsewhere within lease, grace and a look; on the same engine what it left is removed first", async () => {
    const { engine, rig, running, w1, w2 } = await scene()
    const holder = await running("t1")
    await (holder === w1.role.worker.name ? w1 : w2).crash()
    const diedMonoMs = rig.clock.monoMs()
    await rig.advanceUntil(async () => (await rig.state("t1")).epoch === 2, "another start")
    expect(rig.clock.monoMs() - diedMonoMs).toBeLessThanOrEqual(12_000)
    expect(engine.events.indexOf("remove e1/t1-1")).toBeLessThan(engine.events.indexOf("start e1/t1-2"))
    expect(engine.overlaps).toEqual([])
    expect(await rig.state("t1")).toMatchObject({ overlapPossible: false, workerDeaths: 1 })
  })

  it("on another engine both may run until the dead host is back: one end, and the result says so", async () => {
    const { rig, running, w1, w2 } = await scene({ engines: ["e1", "e2"] })
    const holder = await running("t1")
    await (holder === w1.role.worker.name ? w1 : w2).crash()
    await rig.advanceUntil(async () => (await rig.state("t1")).status === "completed", "an end")
    expect((await rig.state("t1")).result).toMatchObject({ overlapPossible: true, epoch: 2 })
  })

  it("a task that wants no second run fails", async () => {
    const { rig, running, w1, w2 } = await scene()
    const holder = await running("t1", { onLost: "fail" })
    await (holder === w1.role.worker.name ? w1 : w2).crash()
    await rig.advanceUntil(async () => (await rig.state("t1")).status === "failed", "a failure")
    expect((await rig.state("t1")).result).toMatchObject({ reason: "worker_lost" })
  })
})

describe("a worker that is stopped", () => {
  it("leaves its programs to a successor on its engine: adopted, not started again, no death counted", async () => {
    const { engine, rig, running, start, w1, w2 } = await scene()
    const holder = await running("t1")
    const [old, other] = holder === w1.role.worker.name ? [w1, w2] : [w2, w1]
    await other.crash()
    await old.stop()
    const successor = await start("e1")
    await rig.advanceUntil(async () => (await rig.state("t1")).status === "completed", "an end")
    expect(engine.events.filter((event) => event.startsWith("start"))).toHaveLength(1)
    expect(await rig.state("t1")).toMatchObject({ epoch: 2, workerDeaths: 0, overlapPossible: false })
    expect(successor.counts.get("adopted")).toBe(1)
    expect((await rig.run(rig.leases.list("w."))).map(({ name }) => name)).not.toContain(`w.${holder}`)
  })

  it("with nothing in hand leaves no lease behind", async () => {
    const { rig, w1 } = await scene()
    const name = w1.role.worker.name
    await w1.stop()
    expect((await rig.run(rig.leases.list("w."))).map((lease) => lease.name)).not.toContain(`w.${name}`)
  })

  it("and for which nobody comes is lost after its lease, without a death", async () => {
    const { rig, running, w1, w2 } = await scene({ engines: ["e1", "e2"] })
    const holder = await running("t1")
    await (holder === w1.role.worker.name ? w1 : w2).stop()
    await rig.advanceUntil(async () => (await rig.state("t1")).epoch === 2, "another start")
    expect(await rig.state("t1")).toMatchObject({ workerDeaths: 0, overlapPossible: true })
  })
})
