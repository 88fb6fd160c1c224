import { PLANTS } from "../../test/sim/planted.ts"
import { PlantedCopy } from "../../test/sim/plantedCopy.ts"
import { Simulation } from "../../test/sim/simulation.ts"
import type { Gate } from "./gate.ts"

const SPEED_SEEDS = 12
const REPLAYS = 100
const QUICK_REPLAYS = 2

/** Embedded, and a cluster of three. */
const NODES = [1, 3] as const

/** Steps in a minute of one core's time, so that a neighbour on the machine is not counted. */
const speed = async (): Promise<number> => {
  await new Simulation(1).run()
  const began = process.cpuUsage()
  let steps = 0
  for (let seed = 1; seed <= SPEED_SEEDS; seed += 1) steps += (await new Simulation(seed, NODES[seed % 2]).run()).steps
  const { system, user } = process.cpuUsage(began)
  return steps / ((system + user) / 60_000_000)
}

/** Seeds whose second run is not the first one, step by step. */
const unlike = async (seeds: number): Promise<number> => {
  let count = 0
  for (let seed = 1; seed <= seeds; seed += 1) {
    const nodes = NODES[seed % 2]
    const { hash } = await new Simulation(seed, nodes).run()
    if ((await new Simulation(seed, nodes).run()).hash !== hash) count += 1
  }
  return count
}

/** Seconds that the best hidden of the planted bugs takes; infinite when one is not found. */
const slowestFind = async (): Promise<number> => {
  const copy = new PlantedCopy()
  try {
    let slowestMs = 0
    for (const plant of PLANTS) {
      const { elapsedMs, text } = await copy.simulate(plant)
      slowestMs = Math.max(slowestMs, plant.finds.test(text) ? elapsedMs : Number.POSITIVE_INFINITY)
    }
    return slowestMs / 1_000
  } finally {
    copy.remove()
  }
}

export const simulatorGates: readonly Gate[] = [
  {
    name: "simulator: steps in a minute of one core",
    unit: "steps",
    bound: { atLeast: 200_000 },
    measure: speed,
    quick: null,
  },
  {
    name: `simulator: seeds of ${REPLAYS} whose replay differs`,
    unit: "seeds",
    bound: { exactly: 0 },
    measure: () => unlike(REPLAYS),
    quick: () => unlike(QUICK_REPLAYS),
  },
  {
    name: `simulator: time to find the slowest of ${PLANTS.length} planted bugs`,
    unit: "s",
    bound: { atMost: 60 },
    measure: slowestFind,
    quick: null,
  },
]
