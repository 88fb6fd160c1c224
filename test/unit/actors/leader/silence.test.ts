/** RC5: for how long may nothing be said of an attempt? */
import { Effect, Fiber } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { makeDispatcher } from "../../../../actors/leader/dispatcher.ts"
import { makeReconciler } from "../../../../actors/leader/reconciler.ts"
import { berthError } from "../../../../core/errors.ts"
import type { TaskSpec } from "../../../../core/task/spec.ts"
import { makeRig, workerInfo } from "../../../support/actorRig.ts"
import { settle } from "../../../support/clock.ts"
import { started } from "../../../support/task.ts"

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

const rigged = async () => {
  const rig = makeRig({ config: { lookahead: 0 } })
  await rig.run(rig.workers.put(workerInfo()))
  const dispatcher = makeDispatcher({ ...rig, isAlone: true, node: "n1", onAdmitted: () => {}, onEntries: () => {} })
  const fiber = Effect.runFork(dispatcher.run)
  stops.push(() => Effect.runPromise(Fiber.interrupt(fiber)))
  const repairs: string[] = []
  const onRepair = (taskId: string, what: string): void => void repairs.push(`${taskId}: ${what}`)
  const reconciler = makeReconciler({ ...rig, dispatcher, workerHolds: () => true, onRepair })
  const pass = async (): Promise<void> => {
    await settle()
    await rig.run(reconciler.pass)
    await settle()
  }
  await settle()
  return { ...rig, repairs, pass }
}

describe("RC5: an attempt of which its living worker says nothing", () => {
  const LIMIT_MS = 60_000 + 5_000 + 30_000
  /** Its container may stand in the line of starts, and take its time to begin. */
  const LIMIT_OF_CONTAINER_MS = LIMIT_MS + 60_000 + 210_000
  /** One that began, with a pass every five seconds. */
  const silent = async (spec: Partial<TaskSpec> = {}) => {
    const rig = await rigged()
    const { state } = await rig.submit({ id: "t1", spec: { timeoutMs: 60_000, graceMs: 5_000, ...spec } })
    await rig.append(started(state))
    const passes = async (ms: number): Promise<void> => {
      for (let at = 0; at < ms; at += 5_000) {
        await rig.pass()
        await rig.manual.advance(5_000)
      }
      await rig.pass()
    }
    const place = (): Promise<unknown> =>
      rig.run(
        rig.turns.turn("t1", {
          type: "place",
          epoch: 1,
          containerId: "c",
          imageDigest: null,
          policy: null,
          nowMs: rig.clock.nowMs(),
        }),
      )
    return { ...rig, passes, place }
  }

  it("beyond time limit and grace is ended as over its time, once, and what it left is remembered", async () => {
    const rig = await silent()
    await rig.passes(LIMIT_MS - 5_000)
    expect((await rig.state("t1")).status).toBe("running")
    await rig.passes(10_000)
    const { left, result, status } = await rig.state("t1")
    expect([status, result?.reason]).toEqual(["timeout", "deadline"])
    expect(left).toEqual([{ engineId: null, runEpoch: 1 }])
    expect(rig.repairs).toEqual(["t1: worker w1 said nothing of it for 30000 ms beyond its time limit"])
  })

  it("is not while its image is brought, and has its whole time from the record of its container on", async () => {
    const rig = await silent({ kind: "image" })
    await rig.passes(LIMIT_OF_CONTAINER_MS)
    await rig.place()
    await rig.passes(LIMIT_OF_CONTAINER_MS - 5_000)
    expect((await rig.state("t1")).status).toBe("running")
    await rig.passes(10_000)
    expect((await rig.state("t1")).status).toBe("timeout")
  })

  it("is not while its engine does not answer, nor for the same time after it", async () => {
    const rig = await silent({ kind: "image" })
    await rig.place()
    await rig.run(rig.workers.put(workerInfo({ kinds: ["handler"], kindsUnavailable: ["image"] })))
    await rig.passes(LIMIT_OF_CONTAINER_MS)
    await rig.run(rig.workers.put(workerInfo()))
    await rig.passes(LIMIT_OF_CONTAINER_MS - 5_000)
    expect((await rig.state("t1")).status).toBe("running")
    await rig.passes(10_000)
    expect((await rig.state("t1")).status).toBe("timeout")
  })

  it.each(["collecting", "fenced"] as const)("is not while it is said to be %s", async (phase) => {
    const rig = await silent()
    await rig.run(rig.turns.turn("t1", { type: "phase", epoch: 1, phase, nowMs: rig.clock.nowMs() }))
    await rig.passes(2 * LIMIT_MS)
    expect((await rig.state("t1")).status).toBe("running")
  })

  it("is not where the registry does not answer", async () => {
    const rig = await silent()
    Object.assign(rig.workers, { list: Effect.fail(berthError("STORE_UNAVAILABLE", "away")) })
    await rig.passes(2 * LIMIT_MS)
    expect((await rig.state("t1")).status).toBe("running")
  })
})
