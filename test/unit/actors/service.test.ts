/** Who may see and do what, and are reads as new as they were asked to be? */
import { Effect, Stream } from "effect"
import { describe, expect, it } from "vitest"
import type { Principal, SystemInfo } from "../../../actors/api.ts"
import { makeHub } from "../../../actors/hub.ts"
import { makeService } from "../../../actors/service.ts"
import type { TaskRow } from "../../../core/readmodel/row.ts"
import { makeRig, type Rig, type RigOptions, workerInfo } from "../../support/actorRig.ts"
import { settle } from "../../support/clock.ts"
import { codeOf } from "../../support/code.ts"
import { ended, resultOf, started, submitted } from "../../support/task.ts"
import { streamOf } from "../../support/watching.ts"

const ANN: Principal = { owner: "ann", role: "user", laneMax: "high" }
const BOB: Principal = { owner: "bob", role: "user", laneMax: "urgent" }
const ADMIN: Principal = { owner: "root", role: "admin", laneMax: "urgent" }
const LISTED = { cursor: null, rowsMax: 10 }

const rigged = ({ readModel, ...options }: RigOptions & { readonly readModel?: Partial<Rig["readModel"]> } = {}) => {
  const made = makeRig(options)
  const rig = { ...made, readModel: { ...made.readModel, ...readModel } }
  let slots = 0
  const service = makeService({
    ...rig,
    hub: makeHub(rig.log),
    handlers: null,
    onSubmitted: () => {},
    slotsOf: () => slots,
    head: rig.log.head,
    systemInfo: Effect.succeed({ version: "0" } as SystemInfo),
  })
  const fail = async (id: string): Promise<void> => {
    const running = started(await rig.state(id))
    await rig.append(running)
    await rig.append(ended(running.state, { status: "failed", reason: "exit_nonzero", exitCode: 1 }))
  }
  return { ...rig, service, fail, setSlots: (count: number) => void (slots = count) }
}

describe("another owner's task looks like one that is not there", () => {
  it("in every call, and changes nothing; an admin sees and does all", async () => {
    const rig = rigged()
    await rig.submit({ id: "t1", owner: "ann" })
    const { service } = rig
    const calls = (who: Principal, id: string) => [
      service.get(who, id, 0),
      service.update(who, id, { labels: { a: "b" } }),
      service.cancel(who, id, "cancel"),
      service.retry(who, id),
      service.remove(who, id),
      service.artifact(who, id, "x"),
      Stream.runDrain(streamOf(service.watch(who, id, 0))),
    ]
    const codes = async (who: Principal, id: string): Promise<readonly string[]> => {
      const all: string[] = []
      for (const call of calls(who, id))
        all.push(await rig.run(codeOf(Effect.asVoid(call as Effect.Effect<unknown, never>))))
      return all
    }
    const none = Array.from({ length: 7 }, () => "NOT_FOUND")
    expect(await codes(BOB, "t1")).toEqual(none)
    expect(await codes(ANN, "t9")).toEqual(none)
    expect((await rig.run(service.get(ANN, "t1", 0))).labels).toEqual({})
    expect(await rig.run(service.get(ADMIN, "t1", 0))).toMatchObject({ id: "t1", owner: "ann" })
    expect(await rig.run(service.cancel(ADMIN, "t1", "kill"))).toMatchObject({ status: "cancelled" })
  })

  it("lists are one's own; an admin's are everybody's, or one owner's", async () => {
    const { run, service, submit } = rigged()
    for (const [id, owner] of [
      ["a1", "ann"],
      ["b1", "bob"],
    ] as const)
      await submit({ id, owner })
    const idsOf = async (who: Principal, owner?: string) =>
      (await run(service.list(who, { ...LISTED, ...(owner && { owner }) }, 0))).tasks.map(({ id }) => id).toSorted()
    expect(await idsOf(ANN)).toEqual(["a1"])
    expect(await idsOf(ANN, "ann")).toEqual(["a1"])
    expect(await idsOf(ANN, "bob")).toEqual([])
    expect(await idsOf(ADMIN)).toEqual(["a1", "b1"])
    expect(await idsOf(ADMIN, "bob")).toEqual(["b1"])
  })

  it("a watch of all tasks shows one's own, from now on or from a sequence", async () => {
    const { run, service, submit } = rigged()
    await submit({ id: "a1", owner: "ann" })
    await submit({ id: "b1", owner: "bob" })
    await submit({ id: "a2", owner: "ann" })
    const first = async (who: Principal, from: number | null, count: number) => {
      const events = await run(Stream.runCollect(Stream.take(streamOf(service.watchAll(who, from)), count)))
      return events.map((event) => (event.type === "backend" ? event.backend : event.taskId))
    }
    expect(await first(ANN, 0, 2)).toEqual(["a1", "a2"])
    expect(await first(ADMIN, 1, 2)).toEqual(["b1", "a2"])
    const coming = first(ANN, null, 1)
    await settle()
    await submit({ id: "a3", owner: "ann" })
    expect(await coming).toEqual(["a3"])
  })
})

describe("what may be changed, and when?", () => {
  it("lane and labels while it waits; labels alone while it runs; a lane above the token's never", async () => {
    const { append, run, service, state, submit } = rigged()
    await submit({ id: "t1" })
    expect(await run(service.update(ANN, "t1", { lane: "high", labels: { a: "b" } }))).toMatchObject({ lane: "high" })
    expect(await run(codeOf(service.update(ANN, "t1", { lane: "urgent" })))).toBe("FORBIDDEN")
    await append(started(await state("t1")))
    expect(await run(codeOf(service.update(ANN, "t1", { lane: "low" })))).toBe("WRONG_STATE")
    expect(await run(service.update(ANN, "t1", { labels: { c: "d" } }))).toMatchObject({ labels: { c: "d" } })
  })

  it("a task that failed is retried by hand, as often as one likes; one that waits is not", async () => {
    const { fail, run, service, submit } = rigged()
    await submit({ id: "t1" })
    expect(await run(codeOf(service.retry(ANN, "t1")))).toBe("WRONG_STATE")
    for (const attempt of [2, 3]) {
      await fail("t1")
      expect(await run(service.retry(ANN, "t1"))).toMatchObject({ status: "pending", attempt, maxAttempts: attempt })
    }
  })

  it("only a task at rest is deleted, and then it is gone", async () => {
    const { fail, run, service, submit } = rigged()
    await submit({ id: "t1" })
    expect(await run(codeOf(service.remove(ANN, "t1")))).toBe("WRONG_STATE")
    await fail("t1")
    expect(await run(service.remove(ANN, "t1"))).toMatchObject({ id: "t1" })
    expect(await run(codeOf(service.get(ANN, "t1", 0)))).toBe("NOT_FOUND")
    expect(await run(codeOf(service.remove(ANN, "t1")))).toBe("NOT_FOUND")
  })

  it("a task that waits for its owner's limit says so", async () => {
    const { run, service, setSlots, submit } = rigged({ config: { ownerSlotsMax: 2 } })
    await submit({ id: "t1" })
    expect((await run(service.get(ANN, "t1", 0))).phase).toBe("queued")
    setSlots(2)
    expect((await run(service.get(ANN, "t1", 0))).phase).toBe("limited")
  })
})

describe("do reads follow writes?", () => {
  it("a read waits until the model has seen the sequence, and gives up in a bounded time", async () => {
    const rig = rigged({ config: { readWaitMs: 100 } })
    await rig.submit({ id: "t1" })
    const early = rig.run(rig.service.get(ANN, "t1", 2))
    await rig.manual.advance(20)
    await rig.submit({ id: "t2" })
    await rig.manual.advance(20)
    expect((await early).id).toBe("t1")
    const late = rig.run(codeOf(rig.service.list(ANN, LISTED, 99)))
    await rig.manual.advance(200)
    expect(await late).toBe("NOT_READY")
  })
})

describe("what do reads cost that are ahead of this node?", () => {
  it("however many wait, one looks for all of them, and none later than it would have alone", async () => {
    let looks = 0
    let seen = 1
    const checkpoint = Effect.sync(() => {
      looks += 1
      return seen
    })
    const rig = rigged({ config: { readWaitMs: 100 }, readModel: { checkpoint } })
    await rig.submit({ id: "t1" })
    const at = (minSeq: number) => Array.from({ length: 32 }, () => rig.run(codeOf(rig.service.get(ANN, "t1", minSeq))))
    const never = at(99)
    const soon = at(5)
    await rig.manual.advance(50)
    seen = 5
    await rig.manual.advance(5)
    expect(new Set(await Promise.all(soon))).toEqual(new Set(["none"]))
    await rig.manual.advance(50)
    expect(new Set(await Promise.all(never))).toEqual(new Set(["NOT_READY"]))
    // Each once as it comes, and then one in five milliseconds.
    expect(looks).toBeLessThanOrEqual(64 + 100 / 5 + 1)
  })

  it("whoever looks may be given up: another one goes on for the rest", async () => {
    let seen = 1
    const rig = rigged({ config: { readWaitMs: 100 }, readModel: { checkpoint: Effect.sync(() => seen) } })
    await rig.submit({ id: "t1" })
    const first = Effect.runFork(rig.service.get(ANN, "t1", 5))
    const second = rig.run(codeOf(rig.service.get(ANN, "t1", 5)))
    await settle()
    first.interruptUnsafe()
    seen = 5
    await rig.manual.advance(50)
    expect(await second).toBe("none")
  })
})

describe("what else is answered?", () => {
  it("counts of one's own tasks, with the workers there are", async () => {
    const { run, service, submit, workers } = rigged()
    await submit({ id: "a1", owner: "ann" })
    await submit({ id: "b1", owner: "bob" })
    await run(workers.put(workerInfo({ slots: 3 })))
    await run(workers.put(workerInfo({ worker: "w2", slots: 2 })))
    expect(await run(service.queueStats(ANN))).toMatchObject({ byStatus: { pending: 1 }, slotsTotal: 5 })
    expect(await run(service.queueStats(ADMIN))).toMatchObject({ byStatus: { pending: 2 } })
    expect(await run(service.headSeq)).toBe(2)
    expect((await run(service.systemInfo)).version).toBe("0")
  })

  it("an artifact by its path, and nothing by another path or key", async () => {
    const { append, blobs, run, service, submit } = rigged()
    const { state } = await submit({ id: "t1" })
    const running = started(state)
    await append(running)
    await run(blobs.put("t1/1/abc", Uint8Array.of(7)))
    const artifact = { path: "out.txt", sizeBytes: 1, sha256: "abc", blobKey: "t1/1/abc" }
    await append(ended(running.state, resultOf(running.state, { artifacts: [artifact] })))
    expect(await run(service.artifact(ANN, "t1", "out.txt"))).toEqual(Uint8Array.of(7))
    for (const path of ["t1/1/abc", "../out.txt", ""])
      expect(await run(codeOf(service.artifact(ANN, "t1", path)))).toBe("NOT_FOUND")
    await run(blobs.removePrefix("t1/"))
    expect(await run(codeOf(service.artifact(ANN, "t1", "out.txt")))).toBe("NOT_FOUND")
  })

  it("an artifact as soon as a watch has told the end, although this node's read model is not there yet", async () => {
    const { state } = submitted({ id: "t1" })
    const behind = { state, seq: 1, outputPurged: false } as TaskRow
    const { append, blobs, run, service, submit } = rigged({ readModel: { get: () => Effect.succeed(behind) } })
    const running = started((await submit({ id: "t1" })).state)
    await append(running)
    await run(blobs.put("t1/1/abc", Uint8Array.of(7)))
    const artifact = { path: "out.txt", sizeBytes: 1, sha256: "abc", blobKey: "t1/1/abc" }
    await append(ended(running.state, { artifacts: [artifact] }))
    expect(await run(service.artifact(ANN, "t1", "out.txt"))).toEqual(Uint8Array.of(7))
    expect(await run(codeOf(service.artifact(BOB, "t1", "out.txt")))).toBe("NOT_FOUND")
  })
})
