/** Does a worker that is told to stop, drain or go leave nothing behind, and nothing half done? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { settle } from "../../../support/clock.ts"
import { until } from "../../../support/until.ts"
import { type WorkerRig, workerRigs } from "../../../support/workerRig.ts"

const rigged = workerRigs()

describe("when the worker goes (WO3, WO4)", () => {
  it("WO3: a stop that comes while the task is being started is not forgotten", async () => {
    let stopped = false
    const rig: WorkerRig = await rigged({
      failpoints: { "start.afterAppend": Effect.sync(() => void (stopped = rig.worker.stop("t1", "kill"))) },
    })
    await rig.start("t1")
    expect(await rig.untilRest("t1")).toMatchObject({ status: "cancelled" })
    expect(stopped).toBe(true)
    expect(rig.executor.calls).not.toContain("run t1")
    expect(rig.worker.stop("nobody", "kill")).toBe(false)
  })

  it("WO4: draining starts nothing new, lets go on what runs, and is idle then", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const running = await rig.executor.run1("t1")
    rig.worker.setDraining(true)
    await rig.manual.advance(2_000)
    await rig.start("t2")
    await rig.manual.advance(5_000)
    expect([rig.worker.isDraining(), rig.worker.accepting(), await rig.waiting()]).toEqual([true, false, 1])
    running.exit()
    await rig.run(rig.worker.idle)
    expect((await rig.state("t2")).status).toBe("pending")
    rig.worker.setDraining(false)
    await rig.manual.advance(2_000)
    await rig.executor.run1("t2")
  })

  it("WO4: a wake-up that was pulled when draining began is given back", async () => {
    const rig = await rigged()
    rig.fail("last", { type: "before", times: 1, meanwhile: Effect.sync(() => rig.worker.setDraining(true)) })
    await rig.start("t1")
    await rig.manual.advance(10_000)
    expect([(await rig.state("t1")).status, await rig.waiting()]).toEqual(["pending", 1])
  })

  it("WO4: an attempt that is only being started when the worker lets go is let go too", async () => {
    const letGo: Promise<void>[] = []
    const rig: WorkerRig = await rigged({
      failpoints: { "start.afterAck": Effect.sync(() => void letGo.push(rig.run(rig.worker.detach))) },
    })
    await rig.start("t1")
    await until(() => letGo.length > 0)
    await letGo[0]
    expect(rig.worker.heldCount()).toBe(0)
    expect(rig.executor.calls).not.toContain("run t1")
    expect((await rig.state("t1")).status).toBe("pending")
  })

  it("closing its scope ends everything it began: no timer is left", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const program = await rig.executor.run1("t1")
    rig.fail("appendOutput", { type: "refused", times: 1_000_000 })
    await program.print("never durable")
    await rig.start("t2")
    await rig.executor.run1("t2")
    rig.fail("append", { type: "refused", times: 1_000_000 })
    await rig.start("t3").catch(() => {})
    await settle()
    await rig.close()
    await settle()
    // Deliveries in hand have timers of the queue's own; everything else is gone.
    const own = rig.manual.armed()
    await rig.manual.advance(31_000)
    await settle()
    expect(rig.manual.armed()).toBe(0)
    expect(own).toBeLessThanOrEqual(3)
    expect(rig.executor.calls.filter((call) => call.startsWith("create")).length).toBe(2)
  })
})
