/** Is what a program prints durable once, in order and bounded, also while the log fails? */
import * as fc from "fast-check"
import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import type { OutputWriter } from "../../../actors/output.ts"
import { LIMITS } from "../../../core/limits.ts"
import { makeRig, unavailable } from "../../support/actorRig.ts"
import { settle } from "../../support/clock.ts"
import { codeOf } from "../../support/code.ts"
import { CHUNK, HEAD, TAIL, bytesAt, expectExact, itemsOf, outputWriter, recordsOf } from "../../support/outputRig.ts"
import { until } from "../../support/until.ts"

describe("when is it written?", () => {
  it("after the flush time, not before, and without being asked", async () => {
    const rig = makeRig()
    const { put } = await outputWriter(rig)
    await put(0, 10)
    await rig.manual.advance(49)
    expect(await itemsOf(rig)).toEqual([])
    await rig.manual.advance(1)
    await until(() => rig.manual.armed() === 0)
    await expectExact(rig, 10)
  })

  it("at once when a chunk is full or a record has all its items", async () => {
    const rig = makeRig()
    const { progress, put } = await outputWriter(rig)
    await put(0, CHUNK)
    expect((await recordsOf(rig)).length).toBe(1)
    for (let n = 0; n < LIMITS.recordEventsMax; n += 1) await rig.run(progress(n))
    const [, second] = await recordsOf(rig)
    expect(second?.items.length).toBe(LIMITS.recordEventsMax)
  })

  it("every record stays within the limits of one, also after the log failed for a while", async () => {
    const rig = makeRig()
    const { finish, output, put } = await outputWriter(rig)
    rig.fail("appendOutput", { type: "refused", times: 1_000_000 })
    for (let n = 0; n < 100; n += 1) await rig.run(output.progress({ n }))
    await put(0, 3 * CHUNK)
    // These two fill the buffer beyond what one record takes, and wait for room.
    const waiting = [put(0, CHUNK / 2, "stderr"), put(3 * CHUNK, CHUNK)]
    await settle()
    rig.heal()
    await rig.manual.advance(50)
    await Promise.all(waiting)
    await rig.run(finish)
    for (const { items } of await recordsOf(rig)) expect(items.length).toBeLessThanOrEqual(LIMITS.recordEventsMax)
    await expectExact(rig, 4 * CHUNK)
    await expectExact(rig, CHUNK / 2, "stderr")
  })
})

describe("when the log fails", () => {
  it("nothing is lost or written twice once it answers again, whenever it fails", async () => {
    const plan = fc.array(fc.record({ count: fc.nat({ max: 30_000 }), faults: fc.nat({ max: 2 }) }), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(plan, async (list) => {
        const rig = makeRig()
        const { finish, put } = await outputWriter(rig)
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
    const { output } = await outputWriter(rig)
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
    const { output } = await outputWriter(rig)
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
    const { finish, output } = await outputWriter(rig)
    const fiber = Effect.runFork(output.write("stdout", 0, bytesAt(0, 4 * CHUNK)))
    await Effect.runPromise(Fiber.interrupt(fiber))
    const { stdout } = await rig.run(finish)
    expect(stdout.headBytes).toBeLessThanOrEqual(4 * CHUNK)
    await expectExact(rig, stdout.headBytes)
  })

  it("O5: after close nothing is tried again", async () => {
    const rig = makeRig()
    const { close, put } = await outputWriter(rig)
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
    const { finish, put } = await outputWriter(rig)
    await put(0, HEAD + 2 * TAIL)
    const first = await rig.run(finish)
    expect(await rig.run(finish)).toEqual(first)
    await expectExact(rig, HEAD + 2 * TAIL)
  })

  it("a flush for a successor writes what waits, and no tail", async () => {
    const rig = makeRig()
    const { flush, put } = await outputWriter(rig)
    await put(0, HEAD + 10)
    await rig.run(flush)
    await expectExact(rig, HEAD)
  })

  it("a record per progress at most as often as is allowed; one more is dropped", async () => {
    const rig = makeRig()
    const output: OutputWriter = (await outputWriter(rig)).output
    await rig.run(Effect.forEach(Array.from({ length: 10_001 }), (_, n) => output.progress(n), { discard: true }))
    await rig.run(output.finish)
    const items = await itemsOf(rig)
    expect(items.length).toBe(10_000)
    expect(items.at(-1)).toMatchObject({ type: "progress", data: 9_999 })
  })
})
