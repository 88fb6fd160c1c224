/** What a program leaves: what of it is kept, and what is recorded. */
import { Effect, Latch } from "effect"
import { describe, expect, it } from "vitest"
import { berthError } from "../../../../core/errors.ts"
import { LIMITS } from "../../../../core/limits.ts"
import { settle } from "../../../support/clock.ts"
import { type FakeExecutor, fakeExecutor } from "../../../support/fakeExecutor.ts"
import { factsOf, workerRigs } from "../../../support/workerRig.ts"

const rigged = workerRigs()
const down = berthError("BACKEND_UNAVAILABLE", "the engine is away")

describe("artifacts", () => {
  it("AR1: they are kept under a name that no program chose, and named in the result", async () => {
    const rig = await rigged()
    rig.executor.artifacts.set("../../etc/passwd", Uint8Array.of(1, 2, 3))
    await rig.start("t1", { spec: { artifacts: true } })
    ;(await rig.executor.run1("t1")).exit()
    const { result } = await rig.untilRest("t1")
    const [artifact] = result?.artifacts ?? []
    expect(artifact).toMatchObject({ path: "../../etc/passwd", sizeBytes: 3 })
    expect(artifact?.blobKey).toMatch(/^t1\/1\/[0-9a-f]{64}$/)
    expect(await rig.run(rig.blobs.get(artifact?.blobKey ?? ""))).toEqual(Uint8Array.of(1, 2, 3))
    expect(await factsOf(rig)).toContain("phased")
  })

  it("those of a program that stands still behind the fence are asked for again when it goes on", async () => {
    const open = Latch.makeUnsafe(true)
    const rig = await rigged({ fence: { fenceOpen: open.await, isFenceOpen: () => open.isOpen() } })
    rig.executor.artifacts.set("a.txt", Uint8Array.of(1))
    rig.executor.hold("collect")
    await rig.start("t1", { spec: { artifacts: true } })
    ;(await rig.executor.run1("t1")).exit()
    await rig.executor.untilCalled("collect t1")
    open.closeUnsafe()
    rig.executor.failWith("collect", down)
    rig.executor.letGo("collect")
    await settle()
    expect((await rig.state("t1")).phase).toBe("collecting")
    rig.executor.failWith("collect", null)
    open.openUnsafe()
    expect((await rig.untilRest("t1")).result?.artifacts).toHaveLength(1)
  })

  it("nothing is asked of a program that stands still behind the fence: it would look as if it had left nothing", async () => {
    const open = Latch.makeUnsafe(true)
    const executor = fakeExecutor()
    const asWhenPaused: FakeExecutor = {
      ...executor,
      collect: (...args) =>
        Effect.suspend(() =>
          open.isOpen()
            ? executor.collect(...args)
            : Effect.succeed({ artifacts: [], missing: "the container had already ended" }),
        ),
    }
    const rig = await rigged({
      executor: asWhenPaused,
      fence: { fenceOpen: open.await, isFenceOpen: () => open.isOpen() },
    })
    rig.executor.artifacts.set("a.txt", Uint8Array.of(1))
    await rig.start("t1", { spec: { artifacts: true } })
    const program = await rig.executor.run1("t1")
    open.closeUnsafe()
    program.exit()
    await rig.untilPhase("t1", "collecting")
    await settle()
    open.openUnsafe()
    expect((await rig.untilRest("t1")).result).toMatchObject({ artifacts: [{ path: "a.txt" }], artifactsMissing: null })
  })

  it("those that cannot be had do not change how the program ended; the reason is said", async () => {
    const rig = await rigged()
    rig.executor.failWith("collect", down)
    await rig.start("t1", { spec: { artifacts: true } })
    ;(await rig.executor.run1("t1")).exit()
    const { result } = await rig.untilRest("t1")
    expect(result).toMatchObject({ status: "completed", artifacts: [], artifactsMissing: "the engine is away" })
  })

  it("AR2: as many as there may be, with long paths: one start and one end, whose list is cut and says so", async () => {
    const rig = await rigged()
    const path = (n: number): string => `${n}/`.padEnd(LIMITS.artifactPathBytesMax, "é")
    for (let n = 0; n < LIMITS.artifactEntriesMax; n += 1) rig.executor.artifacts.set(path(n), Uint8Array.of(n, n >> 8))
    await rig.start("t1", { spec: { artifacts: true } })
    ;(await rig.executor.run1("t1")).exit()
    const { result, status } = await rig.untilRest("t1")
    await rig.untilIdle()
    expect([status, rig.crashes]).toEqual(["completed", []])
    expect((await factsOf(rig)).filter((fact) => fact === "started" || fact === "ended")).toEqual(["started", "ended"])
    const artifacts = result?.artifacts ?? []
    expect(Buffer.byteLength(JSON.stringify(artifacts))).toBeLessThanOrEqual(LIMITS.artifactListBytesMax + 2)
    expect(result?.artifactsMissing).toContain(`${LIMITS.artifactEntriesMax - artifacts.length} files were left out`)
    const kept = await rig.run(rig.blobs.list("t1/"))
    expect(new Set(kept)).toEqual(new Set(artifacts.map(({ blobKey }) => blobKey)))
  })

  it("an end that is too large for any record is written without what the program brought, and says why", async () => {
    const rig = await rigged()
    rig.executor.artifacts.set("a.txt", Uint8Array.of(1))
    rig.executor.hold("collect")
    await rig.start("t1", { spec: { artifacts: true } })
    ;(await rig.executor.run1("t1")).exit()
    await rig.untilPhase("t1", "collecting")
    await rig.executor.untilCalled("collect t1")
    rig.fail("append", { type: "refused", times: 1, error: berthError("TOO_LARGE", "a record of so many bytes") })
    rig.executor.letGo("collect")
    const { result, status } = await rig.untilRest("t1")
    await rig.untilIdle()
    expect([status, rig.crashes]).toEqual(["completed", []])
    expect(result).toMatchObject({ artifacts: [], value: null, artifactsMissing: "a record of so many bytes" })
    expect(result?.message).toContain("a record of so many bytes")
  })
})
