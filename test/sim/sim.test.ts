/** Do the real actors keep every invariant while calls fail, replies get lost and nodes die, whatever the seed? */
import { describe, expect, it } from "vitest"
import { BAD_SEEDS } from "./seeds.ts"
import { type Outcome, Simulation } from "./simulation.ts"

const EMBEDDED = [...BAD_SEEDS, 1, 2, 3].map((seed) => [seed, 1] as const)
const CLUSTER = [1, 2].map((seed) => [seed, 3] as const)

const told = ({ recent, seed, violations }: Outcome): string =>
  violations.length === 0 ? "" : [`seed ${seed}`, ...violations, ...recent].join("\n")

describe("a simulation", () => {
  it.each([...EMBEDDED, ...CLUSTER])(
    "seed %i, %i at a time: nothing is violated, and everything comes to rest",
    async (seed, nodes) => {
      const outcome = await new Simulation(seed, nodes).run()
      expect(told(outcome)).toBe("")
      const faults = Object.values(outcome.faults).reduce((sum, times) => sum + times, 0)
      expect(outcome.tasks).toBeGreaterThanOrEqual(20)
      expect(outcome.lives).toBeGreaterThanOrEqual(3)
      expect(outcome.steps).toBeGreaterThanOrEqual(300)
      expect(faults).toBeGreaterThanOrEqual(5)
    },
  )

  it("SI3: the same seed gives the same steps, another seed others", async () => {
    const hashes: string[] = []
    for (const nodes of [1, 3])
      for (const seed of [7, 7, 8]) hashes.push((await new Simulation(seed, nodes).run()).hash)
    const [first, again, other, cluster, clusterAgain] = hashes
    expect([again, clusterAgain]).toEqual([first, cluster])
    expect(new Set([first, other, cluster]).size).toBe(3)
  })
})
