/** Does the simulator find a bug that was planted in a copy of the shipped files, within a minute? */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { PLANTS } from "./planted.ts"
import { PlantedCopy } from "./plantedCopy.ts"

/** Beyond the minute that a bug may take to be found: for a machine that has other work. */
const PATIENCE_MS = 180_000

describe("the simulator", () => {
  let copy: PlantedCopy | null = null
  beforeAll(() => {
    copy = new PlantedCopy()
  })
  afterAll(() => copy?.remove())

  it.each(PLANTS.map((plant) => [plant.bug, plant] as const))(
    "finds that %s",
    { timeout: PATIENCE_MS },
    async (_, plant) => {
      const { code, text } = await copy!.simulate(plant)
      expect(text).toMatch(plant.finds)
      expect(code).toBe(1)
    },
  )
})
