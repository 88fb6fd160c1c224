import { Effect } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { UID_BLOCKS } from "../../../actors/executor/docker/uids.ts"
import { type HostUids, hostUids } from "../../../gateway/main/hostUids.ts"

describe("who has which user ids of this host? (UI2, UI3)", () => {
  const open: HostUids[] = []
  const uids = (worker: string): HostUids => {
    const made = hostUids(worker)
    open.push(made)
    return made
  }
  const leased = (from: HostUids, ...inUse: number[]) => Effect.runPromise(from.lease(new Set(inUse)))
  afterEach(() => {
    for (const each of open.splice(0)) each.close()
  })

  it("two workers that want the same block get different ones, at once and later", async () => {
    const blocks = await Promise.all(Array.from({ length: 5 }, () => leased(uids("same"))))
    expect(new Set(blocks).size).toBe(5)
    for (const block of blocks) expect(block).toBeLessThan(UID_BLOCKS)
  })

  it("a block is given back when its server closes, and not taken while containers bear it", async () => {
    const first = uids("again")
    const block = await leased(first)
    first.close()
    expect(await leased(uids("again"))).toBe(block)
    const other = uids("left")
    const was = await leased(other)
    other.close()
    expect(await leased(uids("left"), was)).not.toBe(was)
  })

  it("when all are in use, that is an error that says so", async () => {
    const all = Array.from({ length: UID_BLOCKS }, (_, block) => block)
    const error = await Effect.runPromise(Effect.flip(uids("none").lease(new Set(all))))
    expect(error).toMatchObject({ code: "OVERLOADED", retryable: true })
  })
})
