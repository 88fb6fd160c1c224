/** Does every delay end once, after its time on the monotonic clock, whatever the wall clock and the store do? */
import { Effect, Fiber, Stream } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { makeTimers, type Timers } from "../../../../actors/leader/timers.ts"
import { makeRig, type Rig } from "../../../support/actorRig.ts"
import { settle } from "../../../support/clock.ts"
import { retried, started } from "../../../support/task.ts"

const HOUR_MS = 3_600_000
const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

/** Timers that hear of every entry, as they do from the dispatcher's feed. */
const tick = async (rig: Rig, feed = true): Promise<Timers> => {
  const timers = makeTimers(rig)
  const head = Effect.runSync(rig.store.log.head)
  const fibers = [
    Effect.runFork(timers.run),
    ...(feed
      ? [
          Effect.runFork(
            Stream.runForEach(rig.store.log.feed(head), (entries) => Effect.sync(() => timers.onEntries(entries))),
          ),
        ]
      : []),
  ]
  stops.push(() => Promise.all(fibers.map((fiber) => Effect.runPromise(Fiber.interrupt(fiber)))))
  await settle()
  return timers
}
const submitAt = (rig: Rig, id: string, afterMs: number, more = {}) => {
  const atMs = rig.clock.nowMs()
  return rig.submit({ id, atMs, spec: { startAtMs: atMs + afterMs, ...more } })
}
const factsOf = async (rig: Rig, id: string): Promise<readonly string[]> =>
  (await rig.run(rig.store.log.readTask(id, 0, 100))).flatMap(({ record }) =>
    record.kind === "task" ? record.facts.map(({ type }) => type) : [],
  )
const phase = async (rig: Rig, id = "t1"): Promise<string> => (await rig.state(id)).phase

describe("when does a delay end (TI1)?", () => {
  it.each([1, 50, 5_000, 19_999, 20_001, 59_000, 599_000, 700_000, 2 * HOUR_MS])(
    "after %i ms, not before, and once",
    async (ms) => {
      const rig = makeRig()
      await tick(rig)
      await submitAt(rig, "t1", ms)
      await settle()
      await rig.manual.advance(ms - 1)
      expect(await phase(rig)).toBe("delayed")
      await rig.manual.advance(1)
      expect(await phase(rig)).toBe("queued")
      await rig.manual.advance(60_000)
      expect(await factsOf(rig, "t1")).toEqual(["submitted", "woken"])
    },
  )

  it.each([HOUR_MS, -HOUR_MS])("a step of the wall clock by %i ms neither fires nor delays a retry", async (stepMs) => {
    const rig = makeRig()
    await tick(rig)
    const nowMs = rig.clock.nowMs()
    const first = await rig.submit({ id: "t1", atMs: nowMs })
    const running = started(first.state, 0, nowMs)
    await rig.append(running)
    await rig.append(retried(running.state, nowMs + 45_000, nowMs))
    await settle()
    rig.manual.stepWall(stepMs)
    await rig.manual.advance(44_999)
    expect(await phase(rig)).toBe("retrying")
    await rig.manual.advance(1)
    expect(await phase(rig)).toBe("queued")
  })

  it("many at once all end, and in the order of their times", async () => {
    const rig = makeRig()
    await tick(rig)
    for (let n = 0; n < 200; n += 1) await submitAt(rig, `t${n}`, 1_000 + ((n * 37) % 200))
    await settle()
    await rig.manual.advance(1_100)
    const queued = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => (await phase(rig, `t${n}`)) === "queued"),
    )
    expect(queued).toEqual(Array.from({ length: 200 }, (_, n) => (n * 37) % 200 <= 100))
    await rig.manual.advance(100)
    expect((await rig.run(rig.readModel.counts(null))).byStatus.pending).toBe(200)
    for (let n = 0; n < 200; n += 1) expect(await phase(rig, `t${n}`)).toBe("queued")
  })

  it("a later one does not hide an earlier one that comes after it", async () => {
    const rig = makeRig()
    await tick(rig)
    await submitAt(rig, "late", 10_000)
    await settle()
    await submitAt(rig, "soon", 100)
    await settle()
    await rig.manual.advance(100)
    expect([await phase(rig, "soon"), await phase(rig, "late")]).toEqual(["queued", "delayed"])
  })

  it("a task that is cancelled or taken away meanwhile is left alone", async () => {
    const rig = makeRig()
    const timers = await tick(rig)
    await submitAt(rig, "t1", 1_000)
    await settle()
    expect(timers.has("t1")).toBe(true)
    await rig.run(rig.turns.turn("t1", { type: "cancel", mode: "cancel", by: "ann", nowMs: rig.clock.nowMs() }))
    await settle()
    expect(timers.has("t1")).toBe(false)
    await rig.manual.advance(2_000)
    expect(await factsOf(rig, "t1")).toEqual(["submitted", "ended"])
  })
})

describe("when does a start limit pass?", () => {
  const expired = { status: "failed", result: { reason: "expired" } }

  it("a task that nobody started by then fails, one that runs does not", async () => {
    const rig = makeRig()
    await tick(rig)
    const atMs = rig.clock.nowMs()
    await rig.submit({ id: "waits", atMs, spec: { startByMs: atMs + 500 } })
    const { state } = await rig.submit({ id: "runs", atMs, spec: { startByMs: atMs + 500 } })
    await rig.append(started(state, 0, atMs))
    await settle()
    await rig.manual.advance(499)
    expect((await rig.state("waits")).status).toBe("pending")
    await rig.manual.advance(1)
    expect(await rig.state("waits")).toMatchObject(expired)
    expect((await rig.state("runs")).status).toBe("running")
  })

  it("a delay and then a limit: woken at the one, expired at the other", async () => {
    const rig = makeRig()
    await tick(rig)
    await submitAt(rig, "t1", 300, { startByMs: rig.clock.nowMs() + 900 })
    await settle()
    await rig.manual.advance(300)
    expect(await phase(rig)).toBe("queued")
    await rig.manual.advance(600)
    expect(await rig.state("t1")).toMatchObject(expired)
    expect(await factsOf(rig, "t1")).toEqual(["submitted", "woken", "ended"])
  })
})

describe("what does a failure cost (TI2)?", () => {
  it("a restart loses no timer: what is in the read model is found, near and far", async () => {
    const rig = makeRig()
    for (const [id, ms] of [
      ["near", 1_000],
      ["far", 100_000],
      ["past", 1],
    ] as const)
      await submitAt(rig, id, ms)
    await rig.manual.advance(10)
    await tick(rig)
    expect(await phase(rig, "past")).toBe("queued")
    await rig.manual.advance(990)
    expect(await phase(rig, "near")).toBe("queued")
    await rig.manual.advance(99_000)
    expect(await phase(rig, "far")).toBe("queued")
  })

  it("without a feed every delay still ends, from the read model alone", async () => {
    const rig = makeRig()
    await tick(rig, false)
    await submitAt(rig, "t1", 7_000)
    await rig.manual.advance(7_000)
    expect(await phase(rig)).toBe("queued")
  })

  it("a turn that the store refuses is tried again", async () => {
    const rig = makeRig()
    await tick(rig)
    await submitAt(rig, "t1", 100)
    await settle()
    rig.fail("append", { type: "refused", times: 3 })
    await rig.manual.advance(100)
    expect(await phase(rig)).toBe("delayed")
    await rig.manual.advance(4_000)
    expect(await phase(rig)).toBe("queued")
  })
})
