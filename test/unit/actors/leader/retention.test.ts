/** Is everything taken away in its time, nothing before it, and nothing of a task that lives? */
import { Effect, Exit } from "effect"
import { describe, expect, it } from "vitest"
import { makeRetention, purge } from "../../../../actors/leader/retention.ts"
import { type BerthError, berthError } from "../../../../core/errors.ts"
import { ANY_SUBJECT, type ControlRecord, type LogEntry } from "../../../../core/record.ts"
import { makeMemoryReadModel } from "../../../../store/memory/index.ts"
import type { Failpoint } from "../../../../core/ports/failpoints.ts"
import { makeRig, type Rig, type RigOptions, workerInfo } from "../../../support/actorRig.ts"
import { codeOf } from "../../../support/code.ts"
import { controlOf, lead } from "../../../support/leaderRig.ts"
import { ended, printed, retried, started } from "../../../support/task.ts"

const CONFIG = { outputKeepMs: 10_000, taskKeepMs: 100_000, idempotencyMs: 1_000_000 }
const rigged = (options: RigOptions = {}): Rig => makeRig({ config: CONFIG, ...options })

/** A task that printed, left an artifact, and ended. */
const over = async (rig: Rig, id = "t1", status: "completed" | "failed" = "completed"): Promise<void> => {
  const atMs = rig.clock.nowMs()
  const { state } = await rig.submit({ id, atMs })
  const running = started(state, 0, atMs)
  await rig.append(running)
  await rig.run(rig.log.appendOutput(id, printed("text")))
  await rig.run(rig.blobs.put(`${id}/0/program`, Uint8Array.of(1)))
  await rig.run(rig.blobs.put(`${id}/1/artifact`, Uint8Array.of(2)))
  await rig.append(ended(running.state, { status, endedAtMs: atMs }, atMs))
}
const left = async (rig: Rig, id = "t1") => ({
  output: (await rig.run(rig.store.log.readTask(id, 0, 100))).some(({ record }) => record.kind === "output"),
  blobs: (await rig.run(rig.blobs.list(`${id}/`))).map((key) => key.slice(id.length + 1)),
  last: (await rig.run(rig.store.log.last(id)))?.record.kind ?? null,
  row: (await rig.run(rig.readModel.get(id))) !== null,
})
const NOTHING = { output: false, blobs: [], last: null, row: false }
const retentionOf = (rig: Rig) =>
  makeRetention({ ...rig, settledBefore: () => 0, tellPurged: () => Effect.void, onNotRemoved: () => undefined })
const pass = (rig: Rig): Promise<void> => rig.run(retentionOf(rig).pass)

describe("RT4 a read model that the log itself does not tell of what was removed", () => {
  it("learns of it on control, once; and one beside the log is told nothing", async () => {
    const rig = rigged()
    await rig.run(rig.workers.put(workerInfo()))
    const { dispatcher } = await lead(rig)
    await over(rig, "t1")
    await over(rig, "t2")
    // As a node of a cluster has it: fed by the log alone.
    const { readModel } = makeMemoryReadModel()
    const project = async (): Promise<void> => {
      const head = await rig.run(rig.store.log.head)
      const from = await rig.run(readModel.checkpoint)
      const entries: LogEntry[] = []
      for (let seq = from; seq < head; ) {
        const next = await rig.run(rig.store.log.after(ANY_SUBJECT, seq))
        if (next === null) break
        entries.push(next)
        seq = next.seq
      }
      await rig.run(readModel.apply(entries))
    }
    const retention = makeRetention({ ...rig, ...dispatcher, readModel, onNotRemoved: () => undefined })
    const factsOf = async () => (await controlOf(rig)).map(({ record }) => (record as ControlRecord).fact)
    const told = async () => (await factsOf()).filter(({ type }) => type === "purged")
    await project()
    await rig.manual.advance(CONFIG.outputKeepMs + 1)
    await rig.run(retention.pass)
    expect(await told()).toMatchObject([{ outputs: ["t1", "t2"], tombstones: [] }])
    await project()
    await rig.run(retention.pass)
    expect(await rig.run(readModel.endedBefore(Number.MAX_SAFE_INTEGER, 10, "withOutput"))).toEqual([])
    expect(await told()).toHaveLength(1)
    await rig.manual.advance(CONFIG.taskKeepMs)
    await rig.run(retention.pass)
    await project()
    await rig.manual.advance(CONFIG.idempotencyMs + 1)
    await rig.run(retention.pass)
    expect((await told()).at(-1)).toMatchObject({ outputs: [], tombstones: ["t1", "t2"] })
    await project()
    expect(await rig.run(readModel.tombstonesBefore(Number.MAX_SAFE_INTEGER, 10))).toEqual([])
    const before = (await factsOf()).length
    await rig.run(makeRetention({ ...rig, ...dispatcher, onNotRemoved: () => undefined }).pass)
    await rig.run(retention.pass)
    expect((await factsOf()).length).toBeLessThanOrEqual(before)
  })
})

describe("what goes when?", () => {
  it.each(["completed", "failed"] as const)(
    "of a %s task: output and artifacts, then the task, then the tombstone (RT1, RT2)",
    async (status) => {
      const rig = rigged()
      await over(rig, "t1", status)
      await rig.manual.advance(CONFIG.outputKeepMs)
      await pass(rig)
      const whole = { output: true, blobs: ["0/program", "1/artifact"], last: "task", row: true }
      expect(await left(rig)).toEqual(whole)
      await rig.manual.advance(1)
      await pass(rig)
      expect(await left(rig)).toEqual({ output: false, blobs: ["0/program"], last: "task", row: true })
      await rig.manual.advance(CONFIG.taskKeepMs - CONFIG.outputKeepMs - 1)
      await pass(rig)
      expect((await left(rig)).last).toBe("task")
      await rig.manual.advance(1)
      await pass(rig)
      expect(await left(rig)).toEqual({ ...NOTHING, last: "tombstone" })
      await rig.manual.advance(CONFIG.idempotencyMs)
      await pass(rig)
      expect((await left(rig)).last).toBe("tombstone")
      await rig.manual.advance(1)
      await pass(rig)
      expect(await left(rig)).toEqual(NOTHING)
    },
  )

  it("RT1: tasks that wait or run are never touched, however old", async () => {
    const rig = rigged()
    await rig.submit({ id: "t1" })
    const { state } = await rig.submit({ id: "t2" })
    await rig.append(started(state))
    await rig.run(rig.log.appendOutput("t2", printed("text")))
    await rig.manual.advance(10 * CONFIG.idempotencyMs)
    await pass(rig)
    expect([(await left(rig, "t1")).last, (await left(rig, "t2")).output]).toEqual(["task", true])
  })

  it("a task that was retried by hand and ended again prints anew, and that goes in its own time", async () => {
    const rig = rigged()
    await over(rig, "t1", "failed")
    await rig.manual.advance(CONFIG.outputKeepMs + 1)
    await pass(rig)
    const atMs = rig.clock.nowMs()
    const again = retried(await rig.state("t1"), null, atMs)
    await rig.append(again)
    const running = started(again.state, 0, atMs)
    await rig.append(running)
    await rig.run(rig.log.appendOutput("t1", printed("again")))
    await rig.append(ended(running.state, {}, atMs))
    await pass(rig)
    expect((await left(rig)).output).toBe(true)
    await rig.manual.advance(CONFIG.outputKeepMs + 1)
    await pass(rig)
    expect((await left(rig)).output).toBe(false)
  })
})

describe("what if it is interrupted, or somebody is quicker?", () => {
  const POINTS: readonly Failpoint[] = ["retention.afterEntomb", "retention.afterPurge"]
  it.each(POINTS)("a crash at %s: the next passes finish the work, and nothing of it is left", async (point) => {
    const rig = rigged({ failpoints: { [point]: Effect.die(new Error("crash")) } })
    await over(rig)
    await rig.manual.advance(CONFIG.taskKeepMs + 1)
    expect(Exit.isFailure(await Effect.runPromiseExit(retentionOf(rig).pass))).toBe(true)
    const failpoints = makeRig().failpoints
    const healthy = { ...rig, failpoints }
    await pass(healthy)
    expect(await left(rig)).toMatchObject({ last: "tombstone", row: false, output: false })
    await rig.manual.advance(CONFIG.idempotencyMs + 1)
    await pass(healthy)
    expect(await left(rig)).toEqual(NOTHING)
  })

  it("every pass may be made again and changes nothing more", async () => {
    const rig = rigged()
    await over(rig)
    await rig.manual.advance(CONFIG.taskKeepMs + 1)
    await pass(rig)
    const head = await rig.run(rig.store.log.head)
    await pass(rig)
    await pass(rig)
    expect(await rig.run(rig.store.log.head)).toBe(head)
  })

  it("RT1: a task that is retried by hand in the same moment keeps its program, and the pass goes on", async () => {
    const rig = rigged()
    await over(rig, "t1", "failed")
    await over(rig, "t2")
    await rig.manual.advance(CONFIG.taskKeepMs + 1)
    const stale = await rig.run(rig.readModel.endedBefore(rig.clock.nowMs(), 10, "all"))
    await rig.append(retried(await rig.state("t1"), null, rig.clock.nowMs()))
    const behind = { ...rig.readModel, endedBefore: () => Effect.succeed(stale) }
    await rig.run(retentionOf({ ...rig, readModel: behind }).pass)
    expect(await left(rig, "t1")).toMatchObject({ last: "task", blobs: ["0/program", "1/artifact"], output: true })
    expect((await left(rig, "t2")).last).toBe("tombstone")
  })

  it("a purge by hand of a version that is over conflicts, and takes nothing away", async () => {
    const rig = rigged()
    await over(rig, "t1", "failed")
    const { seq, state } = await rig.run(rig.turns.load("t1"))
    await rig.run(rig.turns.turn("t1", { type: "retry", by: "ann", nowMs: 1 }))
    expect(await rig.run(codeOf(purge(rig, state, seq)))).toBe("VERSION_CONFLICT")
    expect((await left(rig)).blobs).toEqual(["0/program", "1/artifact"])
  })
})

describe("RT5: what cannot be removed", () => {
  it("is passed over where it is damaged, whatever else is due, and told once", async () => {
    const rig = rigged()
    for (let n = 0; n < 5; n += 1) await over(rig, `t${n}`)
    const told: unknown[] = []
    const onNotRemoved = (taskId: string, { code }: BerthError): void => void told.push([taskId, code])
    const damaged = (taskId: string) => Effect.fail(berthError("STORE_CORRUPT", `${taskId} is not what was written`))
    const { entomb, last } = rig.log
    const log: Rig["log"] = {
      ...rig.log,
      last: (taskId) => (taskId === "t1" ? damaged(taskId) : last(taskId)),
      entomb: (taskId, ...rest) => (taskId === "t1" ? damaged(taskId) : entomb(taskId, ...rest)),
    }
    const purged: (readonly string[])[] = []
    const tellPurged = (outputs: readonly string[]) => Effect.sync(() => void purged.push(outputs))
    const retention = makeRetention({ ...rig, log, settledBefore: () => 0, tellPurged, onNotRemoved })
    await rig.manual.advance(CONFIG.outputKeepMs + 1)
    await rig.run(retention.pass)
    expect(await Promise.all(["t0", "t1", "t4"].map(async (id) => (await left(rig, id)).output))).toEqual([
      false,
      true,
      false,
    ])
    await rig.manual.advance(CONFIG.taskKeepMs)
    await rig.run(retention.pass)
    await rig.run(retention.pass)
    expect((await left(rig, "t1")).last).toBe("task")
    expect((await left(rig, "t4")).last).toBe("tombstone")
    expect(told).toEqual([["t1", "STORE_CORRUPT"]])
    expect(purged.flat()).not.toContain("t1")
  })

  it("waits for the next pass while the blobs are away", async () => {
    const rig = rigged()
    for (let n = 0; n < 5; n += 1) await over(rig, `t${n}`)
    await rig.manual.advance(CONFIG.taskKeepMs + 1)
    const removePrefix = () => Effect.fail(berthError("STORE_UNAVAILABLE", "no blobs now"))
    await rig.run(retentionOf({ ...rig, blobs: { ...rig.blobs, removePrefix } }).pass)
    expect((await left(rig, "t3")).last).toBe("task")
    await pass(rig)
    expect((await left(rig, "t3")).last).toBe("tombstone")
  })

  it("is no task that came where a tombstone has been forgotten, whose program stays", async () => {
    const rig = rigged()
    await over(rig)
    await rig.manual.advance(CONFIG.taskKeepMs + 1)
    await pass(rig)
    await rig.manual.advance(CONFIG.idempotencyMs + 1)
    const stale = await rig.run(rig.readModel.tombstonesBefore(rig.clock.nowMs(), 10))
    await pass(rig)
    await over(rig)
    const behind = { ...rig.readModel, tombstonesBefore: () => Effect.succeed(stale) }
    await rig.run(retentionOf({ ...rig, readModel: behind }).pass)
    expect(stale).toEqual(["t1"])
    expect(await left(rig)).toMatchObject({ last: "task", blobs: ["0/program", "1/artifact"], output: true })
  })
})
