/** Worker and leader together: what becomes of an attempt of which nothing ever returns? */
import { Effect } from "effect"
import { afterEach, expect, it } from "vitest"
import type { ExecutorShape } from "../../../../core/ports/executor.ts"
import { makeLeaseRig } from "../../../support/leaseRig.ts"
import { pausableEngine } from "../../../support/pausableEngine.ts"

const rig = makeLeaseRig({ config: { slots: 1, lookahead: 0, overdueMs: 30_000 } })
afterEach(() => rig.close())

it("it ends as over its time, and the worker's only slot is free: the next attempt runs when the place is gone", async () => {
  const engine = pausableEngine(rig.clock, 1_000)
  const executor = engine.executorOf("e1")
  const wedged: ExecutorShape = {
    ...executor,
    run: (job, place, sink) =>
      job.epoch === 1
        ? Effect.andThen(Effect.forkDetach(executor.run(job, place, sink)), Effect.never)
        : executor.run(job, place, sink),
    stop: (job, place, mode) => (job.epoch === 1 ? Effect.never : executor.stop(job, place, mode)),
  }
  const worker = await rig.startWorker([wedged])
  await rig.startLeader()
  const retry = { maxAttempts: 2, delayMsInitial: 100, delayMsMax: 100, factor: 1 }
  await rig.submit({ id: "t1", spec: { kind: "image", target: "alpine", timeoutMs: 10_000, graceMs: 1_000, retry } })
  await rig.advanceUntil(async () => (await rig.state("t1")).status === "running", "a start")
  // Its limits, what is given beyond them, and what the start of a container may take.
  await rig.manual.advance(10_000 + 1_000 + 29_000 + 10_000 + 210_000)
  expect(await rig.state("t1")).toMatchObject({ status: "running", epoch: 1 })
  await rig.advanceUntil(async () => (await rig.state("t1")).status === "completed", "an end")
  const { history, result } = await rig.state("t1")
  expect([history[0]?.reason, result?.attempt, result?.overlapPossible]).toEqual(["deadline", 2, false])
  await rig.advanceUntil(() => worker.role.worker.heldCount() === 0, "an idle worker")
  expect([engine.overlaps, engine.containers.size]).toEqual([[], 0])
  expect(engine.events.indexOf("remove e1/t1-1")).toBeLessThan(engine.events.indexOf("start e1/t1-2"))
})
