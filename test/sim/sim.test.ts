/** Do the real actors keep every invariant while calls fail, replies get lost and nodes die, whatever the seed? */
import { describe, expect, it } from "vitest"
import { BAD_SEEDS } from "./seeds.ts"
import { type Outcome, Simulation } from "./simulation.ts"

const SEEDS = [...BAD_SEEDS, 1, 2, 3, 4, 5, 6]

const told = ({ recent, seed, violations }: Outcome): string =>
  violations.length === 0 ? "" : [`seed ${seed}`, ...violations, ...recent].join("\n")

describe("a simulation", () => {
  it.each(SEEDS)("seed %i: nothing is violated, and everything comes to rest", async (seed) => {
    const outcome = await new Simulation(seed).run()
    expect(told(outcome)).toBe("")
    const faults = Object.values(outcome.faults).reduce((sum, times) => sum + times, 0)
    expect(outcome.tasks).toBeGreaterThanOrEqual(20)
    expect(outcome.lives).toBeGreaterThanOrEqual(3)
    expect(outcome.steps).toBeGreaterThanOrEqual(300)
    expect(faults).toBeGreaterThanOrEqual(5)
  })

  it("SI3: the same seed gives the same steps, another seed others", async () => {
    const hashes: string[] = []
    for (const seed of [7, 7, 8]) hashes.push((await new Simulation(seed).run()).hash)
    expect(hashes[1]).toBe(hashes[0])
    expect(hashes[2]).not.toBe(hashes[0])
  })
})
