/** Is what a program prints durable once, in order, bounded, and counted right, also while the log fails? */
import * as fc from "fast-check"
import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { makeOutput, type OutputWriter } from "../../../actors/output.ts"
import { LIMITS } from "../../../core/limits.ts"
import type { OutputItem, OutputRecord } from "../../../core/record.ts"
import type { OutputStream } from "../../../core/words.ts"
import { makeRig, type Rig, unavailable } from "../../support/actorRig.ts"
import { settle } from "../../support/clock.ts"
import { codeOf } from "../../support/code.ts"
import { until } from "../../support/until.ts"

const HEAD = LIMITS.outputHeadBytesMax
const TAIL = LIMITS.outputTailBytesMax
const CHUNK = LIMITS.chunkBytesMax
/** Bytes that tell their own offset, so that a wrong one is seen. */
const bytesAt = (offset: number, count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, n) => ((offset + n) * 31 + ((offset + n) >> 8)) & 255)

const writer = async (rig: Rig, more: { readonly from?: number; readonly live?: OutputRecord[] } = {}) => {
  const output = await rig.run(
    makeOutput({
      log: rig.log,
      clock: rig.clock,
      flushMs: 50,
      sendLive: (record) => Effect.sync(() => void more.live?.push(record)),
      taskId: "t1",
      owner: "ann",
      attempt: 1,
      epoch: 1,
      onAppended: Effect.void,
      offsets: { stdout: more.from ?? 0, stderr: 0 },
    }),
  )
  const write = (offset: number, count: number, stream: OutputStream = "stdout"): Promise<void> =>
    rig.run(output.write(stream, offset, bytesAt(offset, count)))
  return { ...output, output, put: write }
}
const recordsOf = async (rig: Rig): Promise<readonly OutputRecord[]> =>
  (await rig.run(rig.store.log.readTask("t1", 0, 10_000))).map(({ record }) => record as OutputRecord)
const itemsOf = async (rig: Rig): Promise<readonly OutputItem[]> => (await recordsOf(rig)).flatMap(({ items }) => items)

/** Checks that chunks and gaps of one stream follow one another exactly, and that every byte is the right one. */
async function expectExact(rig: Rig, totalBytes: number, stream: OutputStream = "stdout", from = 0): Promise<number> {
  let at = from
  let gapBytes = 0
  for (const item of await itemsOf(rig)) {
    if (item.type === "progress" || item.stream !== stream) continue
    expect(item.offset).toBe(at)
    if (item.type === "gap") gapBytes += item.bytes ?? 0
    else expect(Buffer.from(item.bytes).equals(bytesAt(at, item.bytes.length))).toBe(true)
    at += item.type === "gap" ? (item.bytes ?? 0) : item.bytes.length
  }
  expect(at).toBe(totalBytes)
  return gapBytes
}

describe("what is kept of a stream?", () => {
  it.each([
    ["nothing", 0, 0, 0, 0],
    ["a line", 10, 10, 0, 0],
    ["exactly the head", HEAD, HEAD, 0, 0],
    ["one byte more", HEAD + 1, HEAD, 1, 0],
    ["head and tail", HEAD + TAIL, HEAD, TAIL, 0],
    ["one byte more than both", HEAD + TAIL + 1, HEAD, TAIL, 1],
    ["much more", HEAD + 5 * TAIL + 7, HEAD, TAIL, 4 * TAIL + 7],
  ])("O2: of %s: head, gap, tail and totals", async (_, total, headBytes, tailBytes, droppedBytes) => {
    const rig = makeRig()
    const { finish, put } = await writer(rig)
    for (let at = 0; at < total; at += 50_000) await put(at, Math.min(50_000, total - at))
    const { stderr, stdout } = await rig.run(finish)
    expect(stdout).toEqual({ totalBytes: total, headBytes, tailBytes, droppedBytes })
    expect(stderr.totalBytes).toBe(0)
    expect(await expectExact(rig, total)).toBe(droppedBytes)
  })

  it("O2: what is not kept is sent live, exactly", async () => {
    const rig = makeRig()
    const live: OutputRecord[] = []
    const { finish, put } = await writer(rig, { live })
    const total = HEAD + 3 * TAIL
    for (let at = 0; at < total; at += 60_000) await put(at, Math.min(60_000, total - at))
    await rig.run(finish)
    let at = HEAD
    for (const item of live.flatMap(({ items }) => items)) {
      if (item.type !== "chunk") throw new Error("only chunks are sent live")
      expect(item.offset).toBe(at)
      at += item.bytes.length
    }
    expect(at).toBe(total)
  })

  it("O1: whatever the chunks, and however often they come again, each byte is there once", async () => {
    const writes = fc.array(fc.tuple(fc.nat({ max: 3_000 }), fc.nat({ max: 500 })), { maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(writes, async (list) => {
        const rig = makeRig()
        const { finish, put } = await writer(rig)
        let next = 0
        for (const [count, back] of list) {
          const from = Math.max(0, next - back)
          await put(from, count)
          next = Math.max(next, from + count)
        }
        const { stdout } = await rig.run(finish)
        expect(stdout).toEqual({ totalBytes: next, headBytes: next, tailBytes: 0, droppedBytes: 0 })
        await expectExact(rig, next)
      }),
      { numRuns: 60 },
    )
  })

  it("bytes that were lost are a gap, once, and what comes after them has its place", async () => {
    const rig = makeRig()
    const { finish, lost, put } = await writer(rig)
    await put(0, 100)
    await rig.run(lost("stdout", 100, 50))
    await rig.run(lost("stdout", 120, 20))
    await put(150, 30)
    const { stdout } = await rig.run(finish)
    expect(stdout).toEqual({ totalBytes: 180, headBytes: 130, tailBytes: 0, droppedBytes: 50 })
    expect(await expectExact(rig, 180)).toBe(50)
  })

  it("a hole that nobody announced is a gap too", async () => {
    const rig = makeRig()
    const { finish, put } = await writer(rig)
    await put(10, 20)
    expect((await rig.run(finish)).stdout).toMatchObject({ totalBytes: 30, headBytes: 20, droppedBytes: 10 })
    expect(await expectExact(rig, 30)).toBe(10)
  })

  it("bytes that were lost behind the head are part of the one gap before the tail", async () => {
    const rig = makeRig()
    const { finish, lost, put } = await writer(rig)
    await put(0, HEAD + 1_000)
    await rig.run(lost("stdout", HEAD + 1_000, 500))
    await put(HEAD + 1_500, 40)
    const { stdout } = await rig.run(finish)
    expect(stdout).toEqual({ totalBytes: HEAD + 1_540, headBytes: HEAD, tailBytes: 40, droppedBytes: 1_500 })
    expect(await expectExact(rig, HEAD + 1_540)).toBe(1_500)
  })

  it("a loss of unknown size is said as such", async () => {
    const rig = makeRig()
    const { finish, lost, put } = await writer(rig)
    await put(0, 5)
    await rig.run(lost("stdout", 5, null))
    await rig.run(finish)
    expect((await itemsOf(rig)).at(-1)).toEqual({ type: "gap", stream: "stdout", offset: 5, bytes: null })
  })

  it("an adopter goes on where the log ends", async () => {
    const rig = makeRig()
    const { finish, put } = await writer(rig, { from: 1_000 })
    await put(900, 200)
    expect((await rig.run(finish)).stdout).toMatchObject({ totalBytes: 1_100, headBytes: 1_100 })
    await expectExact(rig, 1_100, "stdout", 1_000)
  })
})

describe("when is it written?", () => {
  it("after the flush time, not before, and without being asked", async () => {
    const rig = makeRig()
    const { put } = await writer(rig)
    await put(0, 10)
    await rig.manual.advance(49)
    expect(await itemsOf(rig)).toEqual([])
    await rig.manual.advance(1)
    await until(() => rig.manual.armed() === 0)
    await expectExact(rig, 10)
  })

  it("at once when a chunk is full or a record has all its items", async () => {
    const rig = makeRig()
    const { progress, put } = await writer(rig)
    await put(0, CHUNK)
    expect((await recordsOf(rig)).length).toBe(1)
    for (let n = 0; n < LIMITS.recordEventsMax; n += 1) await rig.run(progress(n))
    const [, second] = await recordsOf(rig)
    expect(second?.items.length).toBe(LIMITS.recordEventsMax)
  })

  it("every record stays within the limits of one, also after the log failed for a while", async () => {
    const rig = makeRig()
    const { finish, output, put } = await writer(rig)
    rig.fail("appendOutput", { type: "refused", times: 1_000_000 })
    for (let n = 0; n < 100; n += 1) await rig.run(output.progress({ n }))
    await put(0, 3 * CHUNK)
    await put(0, CHUNK / 2, "stderr")
    rig.heal()
    await rig.run(finish)
    for (const { items } of await recordsOf(rig)) expect(items.length).toBeLessThanOrEqual(LIMITS.recordEventsMax)
    await expectExact(rig, 3 * CHUNK)
    await expectExact(rig, CHUNK / 2, "stderr")
  })
})

describe("when the log fails", () => {
  it("nothing is lost or written twice once it answers again, whenever it fails", async () => {
    const plan = fc.array(fc.record({ count: fc.nat({ max: 30_000 }), faults: fc.nat({ max: 2 }) }), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(plan, async (list) => {
        const rig = makeRig()
        const { finish, put } = await writer(rig)
        let at = 0
        for (const { count, faults } of list) {
          if (faults > 0) rig.fail("appendOutput", { type: "refused", times: faults })
          await put(at, count)
          at += count
          await rig.manual.advance(60)
        }
        rig.fail("appendOutput")
        const first = await rig.run(codeOf(finish))
        const { stdout } = await rig.run(finish)
        expect(["none", "STORE_UNAVAILABLE"]).toContain(first)
        expect(stdout.totalBytes).toBe(at)
        await expectExact(rig, at)
      }),
      { numRuns: 25 },
    )
  })

  it("O3: a program that prints on is made to wait, and goes on when there is room", async () => {
    const rig = makeRig()
    const { output } = await writer(rig)
    rig.fail("appendOutput", { type: "refused", times: 1_000_000 })
    let written = 0
    const fiber = Effect.runFork(
      Effect.gen(function* () {
        for (let at = 0; at < HEAD; at += 10_000) {
          yield* output.write("stdout", at, bytesAt(at, 10_000))
          written = at + 10_000
        }
      }),
    )
    await settle(200)
    const stuckAt = written
    expect(stuckAt).toBeLessThan(400_000)
    await rig.manual.advance(500)
    expect(written).toBe(stuckAt)
    rig.heal()
    await rig.manual.advance(50)
    await until(() => written >= HEAD, "all that was printed")
    await Effect.runPromise(Fiber.await(fiber))
  })

  it("O3: progress is bounded too", async () => {
    const rig = makeRig()
    const { output } = await writer(rig)
    rig.fail("appendOutput", { type: "refused", times: 1_000_000 })
    let taken = 0
    const fiber = Effect.runFork(
      Effect.forEach(
        Array.from({ length: 40 }),
        () => Effect.tap(output.progress("x".repeat(20_000)), () => Effect.sync(() => void (taken += 1))),
        { discard: true },
      ),
    )
    await settle(200)
    expect(taken).toBeLessThan(20)
    await Effect.runPromise(Fiber.interrupt(fiber))
  })

  it("a writer that is interrupted in the middle loses nothing of what the totals count", async () => {
    const rig = makeRig()
    const { finish, output } = await writer(rig)
    const fiber = Effect.runFork(output.write("stdout", 0, bytesAt(0, 4 * CHUNK)))
    await Effect.runPromise(Fiber.interrupt(fiber))
    const { stdout } = await rig.run(finish)
    expect(stdout.headBytes).toBeLessThanOrEqual(4 * CHUNK)
    await expectExact(rig, stdout.headBytes)
  })

  it("O5: after close nothing is tried again", async () => {
    const rig = makeRig()
    const { close, put } = await writer(rig)
    rig.fail("appendOutput", { type: "refused", times: 1_000_000, error: unavailable })
    await put(0, 10)
    await rig.manual.advance(200)
    expect(rig.manual.armed()).toBe(1)
    close()
    expect(rig.manual.armed()).toBe(0)
    await put(10, CHUNK)
    expect(rig.manual.armed()).toBe(0)
  })
})

describe("how does it end?", () => {
  it("O4: finish twice writes gaps and tails once", async () => {
    const rig = makeRig()
    const { finish, put } = await writer(rig)
    await put(0, HEAD + 2 * TAIL)
    const first = await rig.run(finish)
    expect(await rig.run(finish)).toEqual(first)
    await expectExact(rig, HEAD + 2 * TAIL)
  })

  it("a flush for a successor writes what waits, and no tail", async () => {
    const rig = makeRig()
    const { flush, put } = await writer(rig)
    await put(0, HEAD + 10)
    await rig.run(flush)
    await expectExact(rig, HEAD)
  })

  it("a record per progress at most as often as is allowed; one more is dropped", async () => {
    const rig = makeRig()
    const output: OutputWriter = (await writer(rig)).output
    await rig.run(Effect.forEach(Array.from({ length: 10_001 }), (_, n) => output.progress(n), { discard: true }))
    await rig.run(output.finish)
    const items = await itemsOf(rig)
    expect(items.length).toBe(10_000)
    expect(items.at(-1)).toMatchObject({ type: "progress", data: 9_999 })
  })
})
