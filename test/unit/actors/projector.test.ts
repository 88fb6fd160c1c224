/** Does a node's read model follow a log that is elsewhere, and does the node know when it cannot be believed? */
import { Effect, Fiber, Stream } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { makeProjector, type Projector } from "../../../actors/projector.ts"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { EventLog } from "../../../core/ports/eventLog.ts"
import { CONTROL_SUBJECT, type LogEntry, stateSubject } from "../../../core/record.ts"
import { RECORD_LEVEL_MAX } from "../../../core/recordLevel.ts"
import { makeMemoryReadModel } from "../../../store/memory/index.ts"
import { makeMemoryLog } from "../../../store/memory/log.ts"
import { manualClock, settle } from "../../support/clock.ts"
import { SILENT } from "../../support/silent.ts"
import { submitted, tombstoneOf } from "../../support/task.ts"

const running: Fiber.Fiber<unknown, unknown>[] = []
afterEach(async () => {
  for (const fiber of running.splice(0)) await Effect.runPromise(Fiber.interrupt(fiber))
})

const run = <A>(effect: Effect.Effect<A, BerthError>): Promise<A> => Effect.runPromise(effect)

function scene(more: Partial<EventLog["Service"]> = {}) {
  const clock = manualClock()
  const { log, damage } = makeMemoryLog()
  const model = makeMemoryReadModel().readModel
  const batches: (readonly LogEntry[])[] = []
  const readModel = {
    ...model,
    apply: (entries: readonly LogEntry[]) => {
      batches.push(entries)
      return model.apply(entries)
    },
  }
  const tooNew: string[] = []
  const wire = { isStuck: false, isAway: false }
  const moving = async () => {
    while (wire.isStuck) await settle(1)
  }
  const overWire: EventLog["Service"] = {
    ...log,
    head: Effect.suspend(() => (wire.isAway ? Effect.fail(berthError("STORE_UNAVAILABLE", "away")) : log.head)),
    feed: (seq) => Stream.mapEffect(log.feed(seq), (entries) => Effect.as(Effect.promise(moving), entries)),
    ...more,
  }
  const projector: Projector = makeProjector({
    log: overWire,
    readModel,
    clock,
    logger: SILENT,
    leaderBefore: null,
    onTooNew: (error) => void tooNew.push(error.code),
  })
  const start = async (): Promise<Fiber.Fiber<never, BerthError>> => {
    const fiber = Effect.runFork(projector.run)
    running.push(fiber)
    await settle()
    return fiber
  }
  const submit = async (count: number, from = 0): Promise<number> => {
    let seq = 0
    for (let n = from; n < from + count; n += 1)
      seq = await run(log.append(stateSubject(`t${n}`), 0, submitted({ id: `t${n}` })))
    await settle()
    return seq
  }
  return { clock, log, wire, damage, readModel, batches, projector, start, submit, tooNew }
}

describe("a projector", () => {
  it("PJ1 applies what is there and what comes, in order, each once, and goes on at the checkpoint", async () => {
    const { batches, projector, readModel, start, submit } = scene()
    await submit(30)
    const fiber = await start()
    const seq = await submit(20, 30)
    expect(await run(projector.reached)).toBe(seq)
    expect((await run(readModel.counts(null))).byStatus.pending).toBe(50)
    await Effect.runPromise(Fiber.interrupt(fiber))
    const more = await submit(5, 50)
    await start()
    expect(await run(projector.reached)).toBe(more)
    expect(batches.flat().map((entry) => entry.seq)).toEqual(Array.from({ length: 55 }, (_, n) => n + 1))
  })

  it("PJ2 stops at a record that it cannot read, says so for good, and skips nothing", async () => {
    const { clock, damage, projector, readModel, start, submit } = scene()
    await submit(3)
    damage(2)
    await start()
    await clock.advance(10_000)
    await submit(3, 3)
    await clock.advance(10_000)
    expect(projector.trouble()).toContain("stopped at 0")
    expect(await run(readModel.checkpoint)).toBe(0)
    expect(await run(readModel.get("t4"))).toBeNull()
  })

  it("PJ2 stops where the read model refuses a record of a later version", async () => {
    const later = Stream.make([{ seq: 1, subject: "t.x.s", record: { kind: "later" } } as unknown as LogEntry])
    const { clock, projector, readModel, start } = scene({ feed: () => Stream.concat(later, Stream.never) })
    await start()
    await clock.advance(10_000)
    expect(projector.trouble()).toContain("stopped")
    expect(await run(readModel.checkpoint)).toBe(0)
  })

  it("EL14 PJ2 learns the level of records from `control`, and ends where this program is too old for it", async () => {
    const { clock, log, projector, start, submit, tooNew } = scene()
    await start()
    const began = { kind: "control", recordId: "r", fact: { type: "termBegan", node: "n", term: 1, atMs: 1 } } as const
    const seq = await run(log.append(CONTROL_SUBJECT, 0, { ...began, level: RECORD_LEVEL_MAX }))
    await submit(1)
    await clock.advance(1_000)
    expect([log.level(), projector.trouble(), tooNew]).toEqual([RECORD_LEVEL_MAX, null, []])
    const fact = { type: "levelRaised", term: 1, atMs: 1 } as const
    await run(log.append(CONTROL_SUBJECT, seq, { ...began, fact, level: RECORD_LEVEL_MAX + 1 }))
    await settle()
    expect(tooNew).toEqual(["SCHEMA_TOO_NEW"])
    expect(projector.trouble()).toContain(`level ${RECORD_LEVEL_MAX + 1}; this Berth reads up to ${RECORD_LEVEL_MAX}`)
    await expect(submit(1, 1)).rejects.toMatchObject({ code: "SCHEMA_TOO_NEW" })
  })

  it("EL14 PJ2 writes nothing more once it met a record that it cannot read", async () => {
    const later = Stream.make([{ seq: 1, subject: "t.x.s", record: { kind: "later" } } as unknown as LogEntry])
    const { start, submit, tooNew } = scene({ feed: () => Stream.concat(later, Stream.never) })
    await start()
    expect(tooNew).toEqual(["SCHEMA_TOO_NEW"])
    await expect(submit(1)).rejects.toMatchObject({ code: "SCHEMA_TOO_NEW" })
  })

  it("PJ3 reaches a head whose entries have been removed, and not before the rest was applied", async () => {
    const { clock, log, projector, start, submit, wire } = scene()
    await submit(2)
    const first = await run(log.last("t1"))
    if (first?.record.kind !== "task") throw new Error("no task")
    await run(log.entomb("t1", first.seq, tombstoneOf(first.record.state)))
    await run(log.forget("t1"))
    expect(await run(log.head)).toBe(3)
    wire.isStuck = true
    await start()
    await clock.advance(3_000)
    expect(await run(projector.reached)).toBe(0)
    wire.isStuck = false
    await clock.advance(1_000)
    expect(await run(projector.reached)).toBe(3)
    expect(projector.trouble()).toBeNull()
  })

  it("PJ4 is in trouble until it has caught up, again when the log is silent, and when it is far behind for seconds", async () => {
    const { clock, projector, start, submit, wire } = scene()
    expect(projector.trouble()).not.toBeNull()
    wire.isStuck = true
    await submit(1_500)
    await start()
    await clock.advance(1_000)
    expect(projector.trouble()).toBe("1500 entries behind the log")
    wire.isStuck = false
    await clock.advance(1_000)
    expect(projector.trouble()).toBeNull()
    wire.isStuck = true
    await submit(1_500, 1_500)
    await clock.advance(3_000)
    expect(projector.trouble()).toBeNull()
    await clock.advance(4_000)
    expect(projector.trouble()).toContain("entries behind")
    wire.isStuck = false
    await clock.advance(1_000)
    expect(projector.trouble()).toBeNull()
    wire.isAway = true
    await clock.advance(5_000)
    expect(projector.trouble()).toBe("the log does not answer")
    wire.isAway = false
    await clock.advance(1_000)
    expect(projector.trouble()).toBeNull()
  })

  it("PJ5 stands still only where the log has more and nothing of it is applied for long", async () => {
    const { clock, projector, start, submit, wire } = scene()
    await start()
    await submit(1)
    await clock.advance(60_000)
    wire.isStuck = true
    for (let n = 1; n < 4; n += 1) {
      await submit(1, n)
      await clock.advance(4_000)
      expect(projector.isStuck()).toBe(false)
    }
    await clock.advance(5_000)
    expect(projector.isStuck()).toBe(true)
    expect(projector.trouble()).toContain("stands still at 1")
    wire.isStuck = false
    await clock.advance(1_000)
    expect(projector.isStuck()).toBe(false)
    await clock.advance(60_000)
    expect(projector.isStuck()).toBe(false)
  })

  it("PJ4 is in trouble, however little it is that it has to read first, until it has read it", async () => {
    const { clock, projector, start, submit, wire } = scene()
    await submit(3)
    wire.isStuck = true
    await start()
    await clock.advance(10_000)
    expect(projector.trouble()).toBe("3 entries behind the log")
    wire.isStuck = false
    await clock.advance(500)
    expect(projector.trouble()).toBeNull()
    wire.isStuck = true
    await submit(3, 3)
    await clock.advance(10_000)
    expect(projector.trouble()).toBeNull()
  })

  it("knows who leads by the newest term that it has read", async () => {
    const { log, projector, start } = scene()
    await start()
    expect(projector.leaderNode()).toBeNull()
    const began = { kind: "control", recordId: "r", fact: { type: "termBegan", node: "n7", term: 1, atMs: 1 } } as const
    await run(log.append(CONTROL_SUBJECT, 0, began))
    await settle()
    expect(projector.leaderNode()).toBe("n7")
  })
})
