/** What is kept of what a program prints, and is it counted right? */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { OutputRecord } from "../../../core/record.ts"
import { makeRig } from "../../support/actorRig.ts"
import { HEAD, TAIL, expectExact, itemsOf, outputWriter } from "../../support/outputRig.ts"

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
    const { finish, put } = await outputWriter(rig)
    for (let at = 0; at < total; at += 50_000) await put(at, Math.min(50_000, total - at))
    const { stderr, stdout } = await rig.run(finish)
    expect(stdout).toEqual({ totalBytes: total, headBytes, tailBytes, droppedBytes })
    expect(stderr.totalBytes).toBe(0)
    expect(await expectExact(rig, total)).toBe(droppedBytes)
  })

  it("O2: what is not kept is sent live, exactly", async () => {
    const rig = makeRig()
    const live: OutputRecord[] = []
    const { finish, put } = await outputWriter(rig, { live })
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
        const { finish, put } = await outputWriter(rig)
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
    const { finish, lost, put } = await outputWriter(rig)
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
    const { finish, put } = await outputWriter(rig)
    await put(10, 20)
    expect((await rig.run(finish)).stdout).toMatchObject({ totalBytes: 30, headBytes: 20, droppedBytes: 10 })
    expect(await expectExact(rig, 30)).toBe(10)
  })

  it("bytes that were lost behind the head are part of the one gap before the tail", async () => {
    const rig = makeRig()
    const { finish, lost, put } = await outputWriter(rig)
    await put(0, HEAD + 1_000)
    await rig.run(lost("stdout", HEAD + 1_000, 500))
    await put(HEAD + 1_500, 40)
    const { stdout } = await rig.run(finish)
    expect(stdout).toEqual({ totalBytes: HEAD + 1_540, headBytes: HEAD, tailBytes: 40, droppedBytes: 1_500 })
    expect(await expectExact(rig, HEAD + 1_540)).toBe(1_500)
  })

  it("a loss of unknown size is said as such", async () => {
    const rig = makeRig()
    const { finish, lost, put } = await outputWriter(rig)
    await put(0, 5)
    await rig.run(lost("stdout", 5, null))
    await rig.run(finish)
    expect((await itemsOf(rig)).at(-1)).toEqual({ type: "gap", stream: "stdout", offset: 5, bytes: null })
  })

  it("an adopter goes on where the log ends", async () => {
    const rig = makeRig()
    const { finish, put } = await outputWriter(rig, { from: 1_000 })
    await put(900, 200)
    expect((await rig.run(finish)).stdout).toMatchObject({ totalBytes: 1_100, headBytes: 1_100 })
    await expectExact(rig, 1_100, "stdout", 1_000)
  })
})
