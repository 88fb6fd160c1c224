/** Is every planted loss found, repaired and counted, and nothing else touched? */
import { Effect, Fiber } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { makeDispatcher } from "../../../../actors/leader/dispatcher.ts"
import { makeReconciler, type ReconcilerDeps } from "../../../../actors/leader/reconciler.ts"
import { workerSubject } from "../../../../core/ports/signals.ts"
import { makeRig, type Rig, workerInfo } from "../../../support/actorRig.ts"
import { settle } from "../../../support/clock.ts"
import { ended, started } from "../../../support/task.ts"

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

const rigged = async (slots = 4, holds: ReconcilerDeps["workerHolds"] = () => true) => {
  const rig = makeRig({ config: { lookahead: 0 } })
  await rig.run(rig.workers.put(workerInfo({ slots })))
  const dispatcher = makeDispatcher({ ...rig, isAlone: true, node: "n1", onAdmitted: () => {}, onEntries: () => {} })
  const fiber = Effect.runFork(dispatcher.run)
  stops.push(() => Effect.runPromise(Fiber.interrupt(fiber)))
  const repairs: string[] = []
  const reconciler = makeReconciler({
    ...rig,
    dispatcher,
    workerHolds: holds,
    onRepair: (taskId, what) => void repairs.push(`${taskId}: ${what}`),
  })
  const pass = async (): Promise<void> => {
    await settle()
    await rig.run(reconciler.pass)
    await settle()
  }
  await settle()
  return { ...rig, dispatcher, reconciler, repairs, pass }
}
const waiting = async (rig: Rig): Promise<number> =>
  Object.values(await rig.run(rig.queue.waiting("default"))).reduce((sum, n) => sum + n, 0)
const takeAll = async (rig: Rig): Promise<readonly string[]> => {
  const deliveries = await rig.run(rig.queue.pull("default", 100, 0))
  for (const { ack } of deliveries) await rig.run(ack)
  return deliveries.map(({ wakeUp }) => wakeUp.taskId)
}

describe("when all is well", () => {
  it("nothing is repaired, and the drift is nought, through a whole life", async () => {
    const rig = await rigged(2)
    for (let n = 0; n < 6; n += 1)
      await rig.submit({ id: `t${n}`, spec: n === 5 ? { startAtMs: Number.MAX_SAFE_INTEGER } : {} })
    await rig.pass()
    const running = started(await rig.state("t0"))
    await rig.append(running)
    await rig.pass()
    await rig.append(ended(running.state))
    await rig.pass()
    await rig.pass()
    expect([rig.repairs, rig.reconciler.repairs(), rig.reconciler.slotDrift()]).toEqual([[], 0, 0])
  })

  it("a leader that does not decide yet judges nothing", async () => {
    const rig = makeRig()
    await rig.submit({ id: "t1" })
    const dispatcher = makeDispatcher({ ...rig, isAlone: true, node: "n1", onAdmitted: () => {}, onEntries: () => {} })
    const reconciler = makeReconciler({ ...rig, dispatcher, workerHolds: () => false, onRepair: () => {} })
    await rig.run(reconciler.pass)
    expect(reconciler.repairs()).toBe(0)
  })
})

describe("what is repaired?", () => {
  it("RC1: a wake-up that was lost is published again; one that is there is not published twice", async () => {
    const rig = await rigged()
    await rig.submit({ id: "t1" })
    await settle()
    await rig.pass()
    expect(await waiting(rig)).toBe(1)
    expect(await takeAll(rig)).toEqual(["t1"])
    await rig.pass()
    expect(await takeAll(rig)).toEqual(["t1"])
  })

  it("RC2: a running task that its living worker does not hold, in two passes, is lost and counted; once it is not", async () => {
    const held = new Set(["t1"])
    const rig = await rigged(4, (_, taskId) => held.has(taskId))
    for (const id of ["t1", "t2"]) {
      const { state } = await rig.submit({ id })
      await rig.append(started(state))
    }
    await rig.pass()
    expect(rig.repairs).toEqual([])
    expect((await rig.state("t2")).status).toBe("running")
    await rig.pass()
    expect(rig.repairs).toEqual(["t2: worker w1 does not hold it"])
    expect(await rig.state("t2")).toMatchObject({ status: "pending", workerDeaths: 1, attempt: 1 })
    expect((await rig.state("t1")).status).toBe("running")
    // Given back, it is admitted again at once.
    await rig.pass()
    expect(await takeAll(rig)).toContain("t2")
  })

  it("RC2: one that is held again in between, or by another epoch, is not lost", async () => {
    let held = false
    const rig = await rigged(4, () => held)
    const { state } = await rig.submit({ id: "t1" })
    await rig.append(started(state))
    await rig.pass()
    held = true
    await rig.pass()
    held = false
    await rig.pass()
    expect((await rig.state("t1")).status).toBe("running")
    await rig.run(
      rig.turns.turn("t1", { type: "adopt", epoch: 1, worker: "w1", containerId: "c", overdueMs: 1, nowMs: 1 }),
    )
    await rig.pass()
    expect((await rig.state("t1")).status).toBe("running")
    await rig.pass()
    expect((await rig.state("t1")).status).toBe("pending")
  })

  it("RC2: of a worker of which nothing is known nothing is judged", async () => {
    const rig = await rigged(4, () => null)
    const { state } = await rig.submit({ id: "t1" })
    await rig.append(started(state))
    for (let n = 0; n < 4; n += 1) await rig.pass()
    expect((await rig.state("t1")).status).toBe("running")
  })

  it("RC3: a wish to stop is signalled in every pass until the attempt has ended", async () => {
    const rig = await rigged()
    const { state } = await rig.submit({ id: "t1" })
    await rig.append(started(state))
    await rig.run(rig.turns.turn("t1", { type: "cancel", mode: "kill", by: "ann", nowMs: 1 }))
    const heard: unknown[] = []
    await rig.run(
      Effect.scoped(
        Effect.gen(function* () {
          yield* rig.signals.subscribe(workerSubject("w1"), (payload) => heard.push(payload))
          yield* Effect.promise(rig.pass)
          yield* Effect.promise(rig.pass)
          yield* Effect.promise(async () =>
            rig.append(ended(await rig.state("t1"), { status: "cancelled", reason: "killed" })),
          )
          yield* Effect.promise(rig.pass)
        }),
      ),
    )
    const command = { type: "signalStop", worker: "w1", taskId: "t1", epoch: 1, mode: "kill" }
    expect(heard).toEqual([command, command])
  })

  it("I5: a waiting task that stands in no index is put back and counted, also one with a start limit", async () => {
    const rig = await rigged(0)
    await rig.submit({ id: "t1" })
    await rig.submit({ id: "t2", spec: { startByMs: Number.MAX_SAFE_INTEGER } })
    await settle()
    for (const id of ["t1", "t2"]) rig.dispatcher.fold.waiting.remove(id)
    await rig.pass()
    expect(rig.repairs).toEqual(["t1: it stood nowhere", "t2: it stood nowhere"])
    expect(["t1", "t2"].map((id) => rig.dispatcher.fold.waiting.has(id))).toEqual([true, true])
    await rig.pass()
    expect(rig.reconciler.repairs()).toBe(2)
  })

  it("I5: one that the fold has never heard of is put in too, once nothing else moves", async () => {
    const rig = await rigged(0)
    await rig.submit({ id: "t1" })
    await settle()
    const { fold } = rig.dispatcher
    const row = await rig.run(rig.readModel.get("t1"))
    if (row === null) throw new Error("no row")
    const forgotten = fold as unknown as { forget: (taskId: string) => void }
    forgotten.forget("t1")
    expect(fold.knows("t1")).toBe(false)
    await rig.pass()
    expect(fold.waiting.has("t1")).toBe(true)
  })

  it("a task that is just being admitted is not repaired", async () => {
    const rig = await rigged(4)
    let open = (): void => {}
    rig.fail("append", {
      type: "replyLost",
      times: 1,
      meanwhile: Effect.callback<void>((resume) => {
        open = () => resume(Effect.void)
      }),
    })
    await rig.submit({ id: "t1" })
    await settle()
    await rig.pass()
    expect(rig.repairs).toEqual([])
    open()
    await settle()
    expect(rig.dispatcher.fold.slots.size).toBe(1)
  })

  it("more waiting tasks than one page are all looked at, page by page", async () => {
    const rig = await rigged(0)
    for (let n = 0; n < 700; n += 1) await rig.submit({ id: `t${String(n).padStart(3, "0")}` })
    await settle()
    for (const id of ["t001", "t650"]) rig.dispatcher.fold.waiting.remove(id)
    await rig.pass()
    expect(rig.reconciler.repairs()).toBe(1)
    await rig.pass()
    expect(rig.reconciler.repairs()).toBe(2)
  })
})

describe("RC4: is a drift of slots measured?", () => {
  it("a slot that the fold holds and no row does is seen, either way", async () => {
    const rig = await rigged()
    const { state } = await rig.submit({ id: "t1" })
    await rig.append(started(state))
    await rig.pass()
    expect(rig.reconciler.slotDrift()).toBe(0)
    rig.dispatcher.fold.slots.forget("t1")
    await rig.pass()
    expect(rig.reconciler.slotDrift()).toBe(-1)
    await rig.append(ended((await rig.state("t1")) as typeof state))
    await rig.pass()
    expect(rig.reconciler.slotDrift()).toBe(0)
  })

  it("a task that expired after its admission and is retried by hand drifts nothing", async () => {
    const rig = await rigged(1)
    await rig.submit({ id: "first" })
    await rig.submit({ id: "t1" })
    await rig.pass()
    await rig.run(rig.turns.turn("first", { type: "refuse", reason: "expired", message: "", nowMs: 1 }))
    await rig.run(rig.turns.turn("first", { type: "retry", by: "ann", nowMs: 2 }))
    await rig.pass()
    await rig.pass()
    expect(rig.reconciler.slotDrift()).toBe(0)
  })
})
