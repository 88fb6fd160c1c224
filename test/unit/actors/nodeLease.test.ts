/** Does a node tell what it reads before it writes, and does one that is too old keep out? */
import { Effect, Exit, Fiber, Scope } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { enterLevels } from "../../../actors/nodeLease.ts"
import type { NodeOptions } from "../../../actors/roles/parts.ts"
import { resolveConfig } from "../../../core/config.ts"
import { type BerthError, berthError } from "../../../core/errors.ts"
import { nodeLeaseData, nodeLevelOf } from "../../../core/nodeLease.ts"
import type { Leases } from "../../../core/ports/leases.ts"
import { CONTROL_SUBJECT } from "../../../core/record.ts"
import { RECORD_LEVEL_MAX } from "../../../core/recordLevel.ts"
import { makeMemoryLeases } from "../../../store/memory/index.ts"
import { makeMemoryLog } from "../../../store/memory/log.ts"
import { manualClock, settle } from "../../support/clock.ts"
import { wired } from "../../support/clusterRig.ts"
import { termBegan } from "../../support/task.ts"

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})
const run = <A>(effect: Effect.Effect<A, BerthError>): Promise<A> => Effect.runPromise(effect)

function scene(isAlone = false) {
  const clock = manualClock()
  const { log } = makeMemoryLog()
  const stored = makeMemoryLeases()
  const link = wired(stored, clock)
  const options = {
    config: resolveConfig({ leaseMs: 2_000 }),
    nodeId: "n1",
    version: "7",
    roles: ["gateway"],
  } as unknown as NodeOptions
  const tellLevel = (level: number, term = 1) =>
    Effect.flatMap(log.lastControl, (last) =>
      log.append(CONTROL_SUBJECT, last?.seq ?? 0, { ...termBegan(term), level }),
    )
  /** Enters, and stays until it fails; `failed` has the code then. */
  const enter = async (leases: Leases["Service"] = link.leases) => {
    const scope = Effect.runSync(Scope.make())
    const entering = enterLevels(options, { clock, leases: isAlone ? null : leases, log })
    const staying = await run(Scope.provide(entering, scope).pipe(Effect.onError(() => Scope.close(scope, Exit.void))))
    const failed: string[] = []
    const fiber = Effect.runFork(Effect.catch(staying, ({ code }) => Effect.sync(() => failed.push(code))))
    const close = async (): Promise<void> => {
      await Effect.runPromise(Fiber.interrupt(fiber))
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
    closers.push(close)
    await settle()
    return { failed, close }
  }
  const mine = () => run(stored.read("n.n1"))
  return { clock, enter, link, log, mine, stored, tellLevel }
}

describe("a node of a cluster", () => {
  it("NL1 is there with what it reads, renews it, and takes it back when it goes", async () => {
    const { clock, enter, mine } = scene()
    const { close } = await enter()
    const first = await mine()
    expect(nodeLevelOf(first!)).toMatchObject({ node: "n1", level: RECORD_LEVEL_MAX, version: "7", roles: ["gateway"] })
    await clock.advance(nodeLeaseData(first!).leaseMs / 2)
    expect((await mine())!.revision).toBeGreaterThan(first!.revision)
    await close()
    expect(await mine()).toBeNull()
  })

  it("NL1 takes back what it told although a renewal of it was just on its way", async () => {
    const { clock, enter, link, mine } = scene()
    const renew: Leases["Service"]["renew"] = (lease, data) =>
      Effect.andThen(link.leases.renew(lease, data), Effect.never)
    const { close } = await enter({ ...link.leases, renew })
    const { revision } = (await mine())!
    await clock.advance(3_000)
    expect((await mine())!.revision).toBeGreaterThan(revision)
    await close()
    expect(await mine()).toBeNull()
  })

  it.each([false, true])(
    "NL1 RL3 does not start where records are beyond it, and tells nothing (alone: %s)",
    async (isAlone) => {
      const { enter, link, tellLevel } = scene(isAlone)
      await run(tellLevel(RECORD_LEVEL_MAX + 1))
      const told: string[] = []
      const acquire: Leases["Service"]["acquire"] = (name, holder, data) => {
        told.push(name)
        return link.leases.acquire(name, holder, data)
      }
      await expect(enter({ ...link.leases, acquire })).rejects.toMatchObject({ code: "SCHEMA_TOO_NEW" })
      expect(told).toEqual([])
    },
  )

  it.each([false, true])("NL1 RL1 knows the level in force before it writes (alone: %s)", async (isAlone) => {
    const { enter, log, tellLevel } = scene(isAlone)
    await run(tellLevel(RECORD_LEVEL_MAX))
    await enter()
    expect(log.level()).toBe(RECORD_LEVEL_MAX)
  })

  it("NL2 does not start where the level was raised while it was telling, and takes back what it told", async () => {
    const { enter, link, mine, tellLevel } = scene()
    const acquire: Leases["Service"]["acquire"] = (name, holder, data) =>
      Effect.tap(link.leases.acquire(name, holder, data), () => tellLevel(RECORD_LEVEL_MAX + 1))
    await expect(enter({ ...link.leases, acquire })).rejects.toMatchObject({ code: "SCHEMA_TOO_NEW" })
    expect(await mine()).toBeNull()
  })

  it("NL3 that was counted out tells again, and ends when the level has gone beyond it meanwhile", async () => {
    const { clock, enter, mine, stored, tellLevel } = scene()
    const { failed } = await enter()
    await run(stored.release((await mine())!))
    await clock.advance(3_000)
    expect(await mine()).not.toBeNull()
    expect(failed).toEqual([])
    await run(stored.release((await mine())!))
    await run(tellLevel(RECORD_LEVEL_MAX + 1))
    await clock.advance(3_000)
    expect([failed, await mine()]).toEqual([["SCHEMA_TOO_NEW"], null])
  })

  it.each(["down", "mute"] as const)("NL4 goes on when the store was away (%s)", async (wire) => {
    const { clock, enter, link, mine } = scene()
    const { failed } = await enter()
    link.wire = wire
    await clock.advance(20_000)
    link.wire = "up"
    await clock.advance(3_000)
    const { revision } = (await mine())!
    await clock.advance(3_000)
    expect((await mine())!.revision).toBeGreaterThan(revision)
    expect(failed).toEqual([])
  })

  it("NL4 does not start where the store does not answer, and goes without waiting for it", async () => {
    const { clock, enter, link } = scene()
    const { close } = await enter({ ...link.leases, release: () => Effect.never })
    const closing = close()
    await clock.advance(2_000)
    await closing
    const refusing = { ...link.leases, acquire: () => Effect.fail(berthError("STORE_UNAVAILABLE", "away")) }
    await expect(enter({ ...refusing, read: () => Effect.succeed(null) })).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    })
  })
})
