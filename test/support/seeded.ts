import { seededRandom } from "./clock.ts"

/** Chance that a drill can repeat. */
export interface Seeded {
  readonly seed: number
  /** A whole number from `min` to `max`, both included. */
  readonly whole: (min: number, max: number) => number
  readonly pick: <A>(from: readonly A[]) => A
  readonly shuffle: <A>(all: readonly A[]) => readonly A[]
}

export function seeded(seed: number): Seeded {
  const { next01 } = seededRandom(seed)
  const whole = (min: number, max: number): number => min + Math.floor(next01() * (max - min + 1))
  const shuffle = <A>(all: readonly A[]): readonly A[] => {
    const left = [...all]
    return all.map(() => left.splice(whole(0, left.length - 1), 1)[0] as A)
  }
  return { seed, whole, pick: (from) => from[whole(0, from.length - 1)] as (typeof from)[number], shuffle }
}

/** The seed that `BERTH_SEED` names, or one of this moment; a drill prints it, so that its moments can be had again. */
export const chosenSeed = (): number => Number(process.env["BERTH_SEED"] ?? Date.now() % 1_000_000_007)
