/** Does a worker that is asked to drain do so, wherever it is, and does whoever asked learn it? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { drainWorker } from "../../../actors/drain.ts"
import { workerSubject } from "../../../core/ports/signals.ts"
import { makeRig, workerInfo } from "../../support/actorRig.ts"
import { settle } from "../../support/clock.ts"
import { workerRigs } from "../../support/workerRig.ts"

const rigged = workerRigs()

describe("a worker that is asked", () => {
  it("starts nothing more, goes on with what it holds, and takes work again when that is undone", async () => {
    const rig = await rigged()
    await rig.start("t1")
    const first = await rig.executor.run1("t1")
    await rig.run(rig.signals.publish(workerSubject("w1"), { type: "drain", draining: true }))
    await rig.start("t2")
    await settle()
    expect([rig.worker.isDraining(), rig.worker.accepting(), rig.worker.heldCount()]).toEqual([true, false, 1])
    first.exit()
    await rig.untilRest("t1")
    await rig.run(rig.signals.publish(workerSubject("w1"), { type: "drain", draining: false }))
    await rig.manual.advance(1_000)
    await rig.executor.run1("t2")
  })
})

describe("who asks", () => {
  it("learns when the worker itself says so, however many signals are lost", async () => {
    const rig = makeRig()
    await rig.run(rig.workers.put(workerInfo()))
    let asked = 0
    const lossy = { ...rig.signals, publish: () => Effect.sync(() => void (asked += 1)) }
    const done = rig.run(drainWorker({ ...rig, signals: lossy }, "w1", true))
    await rig.manual.advance(1_000)
    expect(asked).toBeGreaterThan(3)
    await rig.run(rig.workers.put(workerInfo({ draining: true })))
    await rig.manual.advance(200)
    expect(await done).toMatchObject({ worker: "w1", draining: true })
    expect(await rig.run(drainWorker(rig, "w1", true))).toMatchObject({ draining: true })
  })

  it("is told that there is none, or that it does not answer", async () => {
    const rig = makeRig()
    await rig.run(rig.workers.put(workerInfo()))
    expect(await Effect.runPromise(Effect.flip(drainWorker(rig, "w2", true)))).toMatchObject({ code: "NOT_FOUND" })
    const silent = Effect.runPromise(Effect.flip(drainWorker(rig, "w1", true)))
    await rig.manual.advance(11_000)
    expect(await silent).toMatchObject({ code: "DEADLINE_EXCEEDED" })
  })
})
