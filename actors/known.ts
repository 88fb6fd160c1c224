import { Effect } from "effect"
import type { BerthError } from "../core/errors.ts"
import type { Clock } from "../core/ports/clock.ts"

/** A registry that does not answer keeps nobody from reading for longer. */
const WAIT_MS = 200
/** And is not asked again for so long. */
const AWAY_MS = 5_000

/**
 * A list as this node last heard of it, for what is only shown; null before it ever did.
 *
 * @param keptMs - how old an answer may be: asking for each read would cost a call to the store
 */
export const makeKnown = <A>(
  list: Effect.Effect<readonly A[], BerthError>,
  clock: Clock["Service"],
  keptMs: number,
): Effect.Effect<readonly A[] | null> => {
  let known: readonly A[] | null = null
  let goodUntilMonoMs = 0
  const keepFor = (ms: number): void => {
    goodUntilMonoMs = clock.monoMs() + ms
  }
  const heard = Effect.map(list, (all) => {
    known = all
    keepFor(keptMs)
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
