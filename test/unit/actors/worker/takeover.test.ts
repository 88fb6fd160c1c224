/** What becomes of the tasks of a worker that is surely gone? */
import { Effect } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { startSweeping } from "../../../../actors/worker/sweeping.ts"
import { durableOffsets, runningTasks, strays, takeOver } from "../../../../actors/worker/takeover.ts"
import { berthError } from "../../../../core/errors.ts"
import type { LossCause } from "../../../../core/task/facts.ts"
import type { TaskMessage } from "../../../../core/task/messages.ts"
import { settle } from "../../../support/clock.ts"
import { AT_MS, output, printed } from "../../../support/task.ts"
import { makeWorkerRig, type WorkerRig } from "../../../support/workerRig.ts"

const rigs: WorkerRig[] = []
const rigged = async () => {
  const rig = await makeWorkerRig({ name: "w2" })
  rigs.push(rig)
  const lost: LossCause[] = []
  let adoptedCount = 0
  const settleAll = () =>
    rig.run(
      takeOver(
        {
          ...rig,
          executors: {
            all: [rig.executor],
            forKind: (kind) => (rig.executor.kinds.includes(kind) || kind === "handler" ? rig.executor : null),
          },
          overdueMs: 1_000,
          onAdopted: () => void (adoptedCount += 1),
          onLost: (cause) => void lost.push(cause),
          candidates: runningTasks(rig.readModel),
          rest: "lost",
          hasEnded: () => true,
        },
        (worker) => worker === "w1",
      ),
    )
  /** A task that another worker started, and perhaps gave a place. */
  const startedBy = async (id: string, worker: string, placed: boolean, kind: "image" | "handler" = "image") => {
    await rig.submit({ id, spec: { kind } })
    const start: TaskMessage = {
      type: "start",
      epoch: 1,
      worker,
      engineId: null,
      admission: 1,
      overdueMs: 1,
      nowMs: AT_MS,
    }
    await rig.run(rig.turns.turn(id, start))
    if (!placed) return
    const containerId = `c-${id}-1`
    rig.executor.containers.set(containerId, { containerId, worker, taskId: id, running: true })
    const place: TaskMessage = {
      type: "place",
      epoch: 1,
      containerId,
      imageDigest: "d",
      policy: { a: 1 },
      nowMs: AT_MS,
    }
    await rig.run(rig.turns.turn(id, place))
  }
  return { ...rig, lost, adopted: () => adoptedCount, takeOver: settleAll, startedBy }
}
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.close()
})

describe("a program that runs", () => {
  it("TA1: is adopted under the next epoch, its output goes on where it is durable, and its end counts", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w1", true)
    await rig.run(rig.log.appendOutput("t1", printed("hello ")))
    await rig.takeOver()
    const program = await rig.executor.run1("t1")
    expect(program).toMatchObject({ adopted: true, offsets: { stdout: 6, stderr: 0 }, job: { epoch: 1, worker: "w2" } })
    await program.print("world")
    program.exit()
    const { epoch, result } = await rig.untilRest("t1")
    expect([epoch, result?.stdout.totalBytes, result?.epoch, result?.imageDigest]).toEqual([2, 11, 2, "d"])
    await rig.untilIdle()
    expect([rig.adopted(), rig.lost, rig.executor.containers.size]).toEqual([1, [], 0])
  })

  it("TA1: whatever the predecessor still writes is refused", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w1", true)
    await rig.takeOver()
    const late: TaskMessage = { type: "phase", epoch: 1, phase: "collecting", nowMs: AT_MS }
    const failed = await Effect.runPromiseExit(rig.turns.turn("t1", late))
    expect(failed._tag).toBe("Failure")
    expect((await rig.state("t1")).holder).toMatchObject({ worker: "w2", runEpoch: 1 })
  })

  it("that was asked to stop is stopped by who adopted it", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w1", true)
    await rig.run(rig.turns.turn("t1", { type: "cancel", mode: "kill", by: "ann", nowMs: AT_MS }))
    await rig.takeOver()
    await rig.executor.untilCalled("adopt t1")
    await rig.executor.untilCalled("stop t1")
    expect(await rig.untilRest("t1")).toMatchObject({ status: "cancelled" })
  })

  it("and that cannot be gone on with for good ends, and its slot is free", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w1", true)
    const damaged = Effect.fail(berthError("STORE_CORRUPT", "its program is damaged"))
    Object.assign(rig.programs, { load: () => damaged })
    await rig.takeOver()
    expect((await rig.untilRest("t1")).result).toMatchObject({ reason: "refused", message: "its program is damaged" })
    expect(rig.worker.heldCount()).toBe(0)
  })

  it("of a worker that lives is left alone", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w3", true)
    await rig.takeOver()
    expect((await rig.state("t1")).holder).toMatchObject({ worker: "w3", epoch: 1 })
    expect(rig.executor.calls).toEqual([])
  })

  it("TA3: whose place is gone is given back at once, with no attempt used and the death counted", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w1", true)
    rig.executor.containers.clear()
    await rig.takeOver()
    expect(await rig.state("t1")).toMatchObject({ status: "pending", attempt: 1, epoch: 1, workerDeaths: 1 })
    expect([rig.adopted(), rig.lost]).toEqual([0, ["worker"]])
  })
})

describe("what never ran, or cannot go on", () => {
  it("TA2: a place that was never recorded is removed, and nothing is counted", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w1", false)
    rig.executor.containers.set("c-t1-1", { containerId: "c-t1-1", worker: "w1", taskId: "t1", running: false })
    await rig.takeOver()
    expect(await rig.state("t1")).toMatchObject({ status: "pending", workerDeaths: 0, attempt: 1 })
    expect([rig.executor.containers.size, rig.lost]).toEqual([0, ["infrastructure"]])
  })

  it("TA2: also while the engine does not answer; the place is swept later", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w1", false)
    rig.executor.failWith("remove", berthError("BACKEND_UNAVAILABLE", "away"))
    await rig.takeOver()
    expect((await rig.state("t1")).status).toBe("pending")
  })

  it("TA3: a handler ended with its worker: the death counts", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w1", false, "handler")
    await rig.takeOver()
    expect(await rig.state("t1")).toMatchObject({ status: "pending", workerDeaths: 1, phase: "queued" })
    expect(rig.lost).toEqual(["worker"])
  })

  it("more of them than a page are all settled", async () => {
    const rig = await rigged()
    for (let n = 0; n < 520; n += 1) await rig.startedBy(`t${n}`, "w1", false, "handler")
    await rig.takeOver()
    expect((await rig.run(rig.readModel.counts(null))).byStatus).toMatchObject({ pending: 520, running: 0 })
  })
})

describe("from where does output go on?", () => {
  it("from the end of what is durable without a hole, of this run alone, whatever repeats", async () => {
    const rig = await rigged()
    await rig.submit({ id: "t1" })
    const chunk = (stream: "stdout" | "stderr", offset: number, bytes: number, epoch: number) =>
      rig.run(
        rig.log.appendOutput(
          "t1",
          output([{ type: "chunk", stream, offset, bytes: new Uint8Array(bytes) }], { epoch }),
        ),
      )
    await chunk("stdout", 0, 500, 1)
    await chunk("stdout", 0, 10, 3)
    await chunk("stdout", 5, 10, 3)
    await chunk("stderr", 0, 3, 3)
    await chunk("stdout", 15, 5, 4)
    await chunk("stdout", 99, 5, 4)
    expect(await rig.run(durableOffsets(rig.log, "t1", 3))).toEqual({ stdout: 20, stderr: 3 })
    expect(await rig.run(durableOffsets(rig.log, "t1", 9))).toEqual({ stdout: 0, stderr: 0 })
  })

  it("what a predecessor wrote after it was taken over from is dropped by every reader, and so it does not count", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w1", true)
    await rig.run(rig.log.appendOutput("t1", printed("before")))
    const adopt = { type: "adopt", epoch: 1, worker: "w3", containerId: "c-t1-1", overdueMs: 1, nowMs: AT_MS } as const
    await rig.run(rig.turns.turn("t1", adopt))
    await rig.run(rig.log.appendOutput("t1", printed(" and late", 6)))
    expect(await rig.run(durableOffsets(rig.log, "t1", 1))).toEqual({ stdout: 6, stderr: 0 })
  })

  it("also over several pages", async () => {
    const rig = await rigged()
    await rig.submit({ id: "t1" })
    for (let n = 0; n < 450; n += 1) await rig.run(rig.log.appendOutput("t1", printed("ab", n * 2)))
    expect(await rig.run(durableOffsets(rig.log, "t1", 1))).toEqual({ stdout: 900, stderr: 0 })
  })
})

describe("what is swept (TA4)?", () => {
  it("only what no running task holds and no attempt has in hand", async () => {
    const rig = await rigged()
    await rig.startedBy("t1", "w1", true)
    rig.executor.containers.set("stray", { containerId: "stray", worker: "w1", taskId: "t1", running: true })
    rig.executor.containers.set("mine", { containerId: "mine", worker: "w2", taskId: null, running: true })
    const found = await rig.run(strays(rig.executor, rig.turns, (containerId) => containerId === "mine"))
    expect(found.map(({ containerId }) => containerId)).toEqual(["stray"])
  })

  it("what a predecessor left goes at once; what we may just be making only when it is seen twice", async () => {
    const rig = await rigged()
    for (const [containerId, worker] of [
      ["old", "w1"],
      ["new", "w2"],
    ] as const)
      rig.executor.containers.set(containerId, { containerId, worker, taskId: null, running: true })
    const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
    await rig.run(
      Effect.scoped(
        Effect.gen(function* () {
          yield* startSweeping({ ...rig, executors: [rig.executor], isGone: () => Effect.succeed(true), logger })
          yield* Effect.promise(() => settle())
          expect([...rig.executor.containers.keys()]).toEqual(["new"])
          yield* Effect.promise(() => rig.manual.advance(15_000))
          expect(rig.executor.containers.size).toBe(0)
        }),
      ),
    )
  })
})
