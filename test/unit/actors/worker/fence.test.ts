/** Does the fence hold what it may not let run, also where it closes again while it opens, and an engine hangs or says nothing? */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { makeFence } from "../../../../actors/worker/fence.ts"
import { berthError } from "../../../../core/errors.ts"
import type { ExecutorShape, Placement } from "../../../../core/ports/executor.ts"
import { manualClock, settle } from "../../../support/clock.ts"

const MARGIN_MS = 2_000
const PASS_MS = 250

type Verb = "pause" | "unpause"

/** Programs that run, on an engine that answers as it should, or hangs, or does what it is told and loses its answer. */
const scene = async (...names: readonly string[]) => {
  const clock = manualClock()
  const trust = { isTrusted: true }
  const stands = new Map(names.map((name) => [name, false]))
  const asked: string[] = []
  const faults = new Map<string, "hangs" | "losesItsAnswer">()
  const told: string[] = []
  const tell = (verb: Verb, { containerId }: Placement) =>
    Effect.suspend(() => {
      const name = containerId ?? ""
      const fault = faults.get(`${verb} ${name}`)
      asked.push(`${verb} ${name}`)
      if (fault === "hangs") return Effect.never
      stands.set(name, verb === "pause")
      return fault === undefined ? Effect.succeed(true) : Effect.fail(berthError("BACKEND_UNAVAILABLE", "reset"))
    })
  const executor = {
    pause: (place: Placement) => tell("pause", place),
    unpause: (place: Placement) => Effect.asVoid(tell("unpause", place)),
  } as ExecutorShape
  const held = names.map((taskId) => ({
    taskId,
    epoch: 1,
    executor,
    place: { containerId: taskId, imageDigest: null, policy: null },
  }))
  const fence = makeFence({
    clock,
    lease: { isTrusted: () => trust.isTrusted, trustedUntilMonoMs: () => clock.monoMs() + (trust.isTrusted ? 1 : 0) },
    marginMs: MARGIN_MS,
    places: () => held,
    onClosed: () => told.push("closed"),
    onUnconfirmed: (taskIds) => told.push(`unconfirmed ${taskIds.join()}`),
    onOpened: (paused) => told.push(`opened ${paused.map(({ taskId }) => taskId).join()}`),
  })
  Effect.runFork(fence.run)
  await settle()
  const trusted = async (isTrusted: boolean) => {
    trust.isTrusted = isTrusted
    await clock.advance(PASS_MS)
  }
  const standing = () => names.filter((name) => stands.get(name))
  return { asked, clock, faults, fence, standing, told, trusted }
}

describe("the fence", () => {
  it("holds everything while the lease is not trusted, and lets it go on when it is again (FE1, FE2)", async () => {
    const { asked, clock, fence, standing, told, trusted } = await scene("a", "b")
    await trusted(false)
    await clock.advance(10 * PASS_MS)
    expect([fence.isOpen(), standing(), asked]).toEqual([false, ["a", "b"], ["pause a", "pause b"]])
    await trusted(true)
    await trusted(true)
    expect([fence.isOpen(), standing(), asked.slice(2)]).toEqual([true, [], ["unpause a", "unpause b"]])
    expect(told).toEqual(["closed", "opened a,b"])
  })

  it("holds again what went on without saying so (FE4)", async () => {
    const { faults, fence, standing, told, trusted } = await scene("a")
    await trusted(false)
    faults.set("unpause a", "losesItsAnswer")
    await trusted(true)
    expect([fence.isOpen(), standing()]).toEqual([false, []])
    await trusted(false)
    expect(standing()).toEqual(["a"])
    faults.clear()
    await trusted(true)
    await trusted(true)
    expect([standing(), told]).toEqual([[], ["closed", "opened a"]])
  })

  it("holds again what went on, while another's engine hangs over what it was asked (FE4)", async () => {
    const { asked, clock, faults, standing, told, trusted } = await scene("hung", "b", "c")
    await trusted(false)
    faults.set("unpause hung", "hangs")
    await trusted(true)
    expect(standing()).toEqual(["hung"])
    await trusted(false)
    expect(standing()).toEqual(["hung", "b", "c"])
    // It was told to go on: nobody knows when it will.
    await clock.advance(MARGIN_MS)
    expect(asked.filter((one) => one.endsWith("hung"))).toEqual(["pause hung", "unpause hung"])
    expect(told).toEqual(["closed", "unconfirmed hung"])
  })

  it("tells of what cannot be held once, a margin after the last moment of trust (FE3)", async () => {
    const { clock, faults, told, trusted } = await scene("a", "b")
    faults.set("unpause a", "losesItsAnswer")
    await trusted(false)
    await clock.advance(2 * MARGIN_MS)
    await trusted(true)
    faults.set("pause b", "losesItsAnswer")
    await trusted(false)
    await clock.advance(MARGIN_MS - 3 * PASS_MS)
    expect(told).toEqual(["closed"])
    await clock.advance(3 * PASS_MS)
    await clock.advance(MARGIN_MS)
    expect(told).toEqual(["closed", "unconfirmed b"])
  })
})
