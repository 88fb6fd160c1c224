/** Does an owner get as many waiting tasks as he may have, however many come at once and however old the last count is? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { makeSubmit } from "../../../actors/submit.ts"
import { berthError, type BerthError } from "../../../core/errors.ts"
import { LIMITS } from "../../../core/limits.ts"
import { codeOf } from "../../support/code.ts"
import { ANN, BOB, keyed, rigged } from "../../support/submitRig.ts"

describe("how many tasks may an owner have waiting?", () => {
  it("as many as the limit; one more is refused, other owners are not, and an ended one makes room", async () => {
    const rig = rigged({ config: { ownerPendingMax: 3 } })
    const ids: string[] = []
    for (let n = 0; n < 3; n += 1) ids.push((await rig.run(rig.send(ANN, { handler: "noop" }))).task.id)
    expect(await rig.run(codeOf(rig.send(ANN, { handler: "noop" })))).toBe("OVERLOADED")
    expect(await rig.run(codeOf(rig.send(BOB, { handler: "noop" })))).toBe("none")
    await rig.run(rig.turns.turn(ids[0] ?? "", { type: "cancel", mode: "cancel", by: "ann", nowMs: 1 }))
    // A count is believed for a second.
    await rig.manual.advance(1_001)
    expect(await rig.run(codeOf(rig.send(ANN, { handler: "noop" })))).toBe("none")
  })

  it("many at once are counted by one, and not more of them get in than there is room for", async () => {
    const rig = rigged({ config: { ownerPendingMax: 3 } })
    let asked = 0
    const counts: typeof rig.readModel.counts = (owner) =>
      Effect.suspend(() => {
        asked += 1
        return Effect.delay(rig.readModel.counts(owner), 1)
      })
    const submit = makeSubmit({
      ...rig,
      readModel: { ...rig.readModel, counts },
      handlers: null,
      onSubmitted: () => {},
    })
    const burst = (): Promise<readonly string[]> =>
      rig.run(
        Effect.forEach([1, 2, 3, 4, 5], (n) => codeOf(submit(ANN, { handler: "noop", input: n }, String(n))), {
          concurrency: "unbounded",
        }),
      )
    expect((await burst()).filter((code) => code === "OVERLOADED")).toHaveLength(2)
    expect(asked).toBe(1)
    await rig.manual.advance(1_001)
    expect(new Set(await burst())).toEqual(new Set(["OVERLOADED"]))
    expect(asked).toBe(2)
  })

  it("nobody is refused on an old count, and nobody let in before there is one", async () => {
    const rig = rigged({ config: { ownerPendingMax: 3 } })
    const ids: string[] = []
    for (let n = 0; n < 3; n += 1) ids.push((await rig.run(rig.send(ANN, { handler: "noop" }))).task.id)
    const counts: typeof rig.readModel.counts = (owner) => Effect.delay(rig.readModel.counts(owner), 1)
    const anew = () =>
      makeSubmit({ ...rig, readModel: { ...rig.readModel, counts }, handlers: null, onSubmitted: () => {} })
    const burst = (submit: ReturnType<typeof anew>): Promise<readonly string[]> =>
      rig.run(
        Effect.forEach([1, 2, 3], (n) => codeOf(submit(ANN, { handler: "noop", input: n }, String(n))), {
          concurrency: "unbounded",
        }),
      )
    const submit = anew()
    expect(await burst(submit)).toEqual(["OVERLOADED", "OVERLOADED", "OVERLOADED"])
    for (const id of ids) await rig.run(rig.turns.turn(id, { type: "cancel", mode: "cancel", by: "ann", nowMs: 1 }))
    await rig.manual.advance(3_600_000)
    expect(await burst(submit)).toEqual(["none", "none", "none"])
    // Another process, which has counted nobody yet.
    expect(await burst(anew())).toEqual(["OVERLOADED", "OVERLOADED", "OVERLOADED"])
  })

  it("a count that failed is made again by whoever comes next", async () => {
    const rig = rigged({ config: { ownerPendingMax: 1 } })
    await rig.run(rig.send(BOB, { handler: "noop" }))
    let answer: Effect.Effect<never, BerthError> | null = Effect.fail(berthError("STORE_UNAVAILABLE", "injected"))
    const counts: typeof rig.readModel.counts = (owner) => answer ?? rig.readModel.counts(owner)
    const submit = makeSubmit({
      ...rig,
      readModel: { ...rig.readModel, counts },
      handlers: null,
      onSubmitted: () => {},
    })
    expect(await rig.run(codeOf(submit(BOB, { handler: "noop" }, "1")))).toBe("STORE_UNAVAILABLE")
    answer = null
    expect(await rig.run(codeOf(submit(BOB, { handler: "noop" }, "2")))).toBe("OVERLOADED")
  })

  it("the same request again is answered by a full store, a new one is refused", async () => {
    const rig = rigged()
    const { task } = await rig.run(rig.send(ANN, keyed()))
    rig.fail("append", { type: "refused", times: 2, error: berthError("STORAGE_FULL", "injected") })
    expect(await rig.run(rig.send(ANN, keyed()))).toMatchObject({ duplicate: true, task: { id: task.id } })
    expect(await rig.run(codeOf(rig.send(ANN, keyed({ idempotencyKey: "k2" }))))).toBe("STORAGE_FULL")
  })

  it("a repeat takes no room from others", async () => {
    const rig = rigged({ config: { ownerPendingMax: 2 } })
    await rig.run(rig.send(ANN, keyed()))
    await rig.run(rig.send(ANN, keyed()))
    expect(await rig.run(rig.send(ANN, keyed({ idempotencyKey: "k2" })))).toMatchObject({ duplicate: false })
  })

  it("a submit that surely made no task takes no room, wherever it failed", async () => {
    const rig = rigged({ config: { ownerPendingMax: 1 } })
    const full = berthError("STORAGE_FULL", "injected")
    const put = rig.blobs.put
    const large = { handler: "noop", input: "x".repeat(LIMITS.programInlineBytesMax) }
    Object.assign(rig.blobs, { put: () => Effect.fail(full) })
    expect(await rig.run(codeOf(rig.send(ANN, large)))).toBe("STORAGE_FULL")
    Object.assign(rig.blobs, { put })
    rig.fail("append", { type: "refused", times: 1, error: full })
    expect(await rig.run(codeOf(rig.send(ANN, large)))).toBe("STORAGE_FULL")
    expect(await rig.run(codeOf(rig.send(ANN, large)))).toBe("none")
    expect(await rig.run(codeOf(rig.send(ANN, large)))).toBe("OVERLOADED")
  })

  it("the same request again is answered also at the limit", async () => {
    const rig = rigged({ config: { ownerPendingMax: 1 } })
    await rig.run(rig.send(ANN, keyed()))
    expect(await rig.run(rig.send(ANN, keyed()))).toMatchObject({ duplicate: true })
  })
})
