/** Is a task that only some workers can take sent to one of them, and one that nobody can take held back without a slot? */
import { describe, expect, it } from "vitest"
import { workerSubject } from "../../../../core/ports/signals.ts"
import { Effect, Scope } from "effect"
import { makeRig, workerInfo } from "../../../support/actorRig.ts"
import { settle } from "../../../support/clock.ts"
import { admitted, endLeaders, lead, pullAll, submit } from "../../../support/leaderRig.ts"
import { workerRigs } from "../../../support/workerRig.ts"

endLeaders()
const EU = { requires: { labels: { zone: "eu" } } }

describe("a task that requires what only some have", () => {
  const routed = async () => {
    const rig = makeRig({ config: { lookahead: 0 } })
    await rig.run(rig.workers.put(workerInfo({ worker: "eu", slots: 1, labels: { zone: "eu" } })))
    await rig.run(rig.workers.put(workerInfo({ worker: "us", slots: 4 })))
    const sent: string[] = []
    const scope = Effect.runSync(Scope.make())
    const listen = rig.signals.subscribe(workerSubject("eu"), (payload) => {
      sent.push((payload as { wakeUp: { taskId: string } }).wakeUp.taskId)
    })
    await Effect.runPromise(Scope.provide(listen, scope))
    return { rig, sent }
  }

  it("goes straight to one of those, as many as have room; what anybody can take goes on meanwhile", async () => {
    const { rig, sent } = await routed()
    await submit(rig, 5, "ann", EU)
    await submit(rig, 2, "bob")
    await lead(rig)
    expect(sent).toEqual(["ann0", "ann1"])
    expect((await pullAll(rig)).map(({ taskId }) => taskId).sort()).toEqual(["bob0", "bob1"])
  })

  it("D3: holds no slot while nobody has it, and is admitted when somebody comes", async () => {
    const { rig } = await routed()
    await submit(rig, 1, "ann", { pool: "gpu" })
    await submit(rig, 1, "bob", { requires: { labels: { zone: "asia" } } })
    const { dispatcher } = await lead(rig)
    expect(await admitted(rig)).toEqual([])
    expect(dispatcher.fold.slots.size).toBe(0)
    await rig.run(rig.workers.put(workerInfo({ worker: "g", pool: "gpu" })))
    await rig.manual.advance(500)
    await settle()
    expect(await admitted(rig)).toEqual(["ann0"])
  })

  it("is sent again while it was not started", async () => {
    const { rig, sent } = await routed()
    await submit(rig, 1, "ann", EU)
    const { dispatcher } = await lead(rig)
    await rig.run(dispatcher.republish)
    expect(sent).toEqual(["ann0", "ann0"])
  })
})

describe("a worker that is sent a task", () => {
  const rigged = workerRigs()
  const send = async (rig: Awaited<ReturnType<typeof rigged>>, taskId: string): Promise<void> => {
    const wakeUp = { pool: "default", lane: "normal", taskId, epoch: 1, admission: 1 } as const
    await rig.run(rig.signals.publish(workerSubject("w1"), { type: "wakeUp", wakeUp }))
  }

  it("starts it in its next free slot, once, however often it is told", async () => {
    const rig = await rigged({ slots: 1 })
    await rig.start("t1")
    const first = await rig.executor.run1("t1")
    await rig.submit({ id: "t2", spec: { kind: "image", target: "alpine" } })
    for (let n = 0; n < 3; n += 1) await send(rig, "t2")
    await settle()
    expect((await rig.state("t2")).status).toBe("pending")
    first.exit()
    const second = await rig.executor.run1("t2")
    second.exit()
    await rig.untilRest("t2")
    expect(rig.executor.calls.filter((call) => call === "create t2")).toHaveLength(1)
  })

  it("and cannot take what it pulled gives it back", async () => {
    let can = false
    const rig = await rigged({ meets: () => can })
    await rig.start("t1")
    await settle()
    expect((await rig.state("t1")).status).toBe("pending")
    can = true
    await rig.manual.advance(2_000)
    await rig.executor.run1("t1")
  })
})
