/**
 * Whatever is cut, falls silent, dies and comes again, in whatever order: does every task end once, and do two of its programs
 * ever run at one moment where nobody is told so?
 */
import * as fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import type { LinkState, RigWorker } from "../../../support/leaseRig.ts"
import { leaseScenes } from "../../../support/leaseScene.ts"

const RUNS = 8
const TASKS = 4
const scene = leaseScenes(afterEach)

type Step = typeof steps extends fc.Arbitrary<readonly (infer S)[]> ? S : never
const links = fc.constantFrom<LinkState>("cut", "cut", "deaf", "up")
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant("link" as const), who: fc.nat({ max: 2 }), state: links }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("crash" as const), who: fc.nat({ max: 1 }) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("stop" as const), who: fc.nat({ max: 1 }) }) },
    {
      weight: 4,
      arbitrary: fc.record({ type: fc.constant("wait" as const), ms: fc.integer({ min: 500, max: 15_000 }) }),
    },
  ),
  { minLength: 6, maxLength: 16 },
)

/** What came of it: overlaps that nobody was told of, and tasks that did not end exactly once. */
const play = async (engines: readonly [string, string], history: readonly Step[]) => {
  const { engine, leader, rig, start, submit, w1, w2 } = await scene({ engines, runMs: 6_000 })
  const workers: RigWorker[] = [w1, w2]
  for (let n = 0; n < TASKS; n += 1) await submit(`t${n}`)
  await rig.manual.advance(1_000)
  for (const step of history) {
    const worker = step.type === "wait" ? undefined : workers[step.who]
    if (step.type === "wait") await rig.manual.advance(step.ms)
    else if (step.type === "link") (worker ?? leader).link.state = step.state
    else if (worker !== undefined) {
      // A worker whose link is down cannot say that it goes.
      if (step.type === "crash" || worker.link.state !== "up") await worker.crash()
      else await worker.stop()
      workers[step.who] = await start(engines[step.who] ?? "e1")
    }
  }
  for (const { link } of [...workers, leader]) link.state = "up"
  const ids = Array.from({ length: TASKS }, (_, n) => `t${n}`)
  for (const id of ids) await rig.advanceUntil(async () => (await rig.state(id)).phase === "ended", `an end of ${id}`)
  await rig.advanceUntil(() => engine.containers.size === 0, "an empty engine")
  const told = new Set<string>()
  const notOnce: string[] = []
  for (const id of ids) {
    const { attempt, result, status } = await rig.state(id)
    if (result?.overlapPossible === true) told.add(id)
    const entries = await rig.run(rig.store.log.readTask(id, 0, 200))
    const ends = entries
      .flatMap(({ record }) => (record.kind === "task" ? record.facts : []))
      .filter(({ type }) => type === "ended")
    // A task that saw three workers die is quarantined, as it should be.
    const isRight = status === "completed" || result?.reason === "quarantined"
    if (ends.length !== 1 || attempt !== 1 || !isRight)
      notOnce.push(`${id}: ${ends.length} ends, attempt ${attempt}, ${status}`)
  }
  const untold = engine.overlaps.filter((overlap) => !ids.some((id) => told.has(id) && overlap.includes(`/${id}-`)))
  await rig.close()
  return { untold, notOnce, overlaps: engine.overlaps }
}

describe("under every fault", () => {
  it("I2 I9 on one engine: never two programs of a task at once, every task ends once", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const { notOnce, overlaps } = await play(["e1", "e1"], history)
        expect([overlaps, notOnce]).toEqual([[], []])
      }),
      { numRuns: RUNS },
    )
  })

  it("I2 I9 on two engines: where two ran at once, the result says that it was possible", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const { notOnce, untold } = await play(["e1", "e2"], history)
        expect([untold, notOnce]).toEqual([[], []])
      }),
      { numRuns: RUNS },
    )
  })
})
