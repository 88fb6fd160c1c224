import { Effect } from "effect"
import type { Clock } from "../core/ports/clock.ts"
import type { WorkerInfo, Workers } from "../core/ports/workers.ts"

/** Workers tell of themselves that often; asking for each read would cost a call to the store. */
const KEPT_MS = 250
/** A registry that does not answer keeps nobody from reading for longer. */
const WAIT_MS = 200
/** And is not asked again for so long. */
const AWAY_MS = 5_000

/** The workers as this node last heard of them, for what is only shown; null before it ever did. */
export const makeKnownWorkers = (
  workers: Workers["Service"],
  clock: Clock["Service"],
): Effect.Effect<readonly WorkerInfo[] | null> => {
  let known: readonly WorkerInfo[] | null = null
  let goodUntilMonoMs = 0
  const keepFor = (ms: number): void => {
    goodUntilMonoMs = clock.monoMs() + ms
  }
  const heard = Effect.map(workers.list, (all) => {
    known = all
    keepFor(KEPT_MS)
  })
  const away = Effect.sync(() => keepFor(AWAY_MS))
  return Effect.suspend(() => {
    if (clock.monoMs() < goodUntilMonoMs) return Effect.succeed(known)
    // One asks at a time; meanwhile the others take what is known.
    keepFor(WAIT_MS)
    const asked = Effect.raceFirst(
      Effect.catch(heard, () => away),
      Effect.andThen(clock.sleep(WAIT_MS), away),
    )
    return Effect.map(asked, () => known)
  })
}
