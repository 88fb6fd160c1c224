/** What a worker that leaves still says, and for how long it tries: nobody waits for a store that is away. */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"

const ANSWER_MS_MAX = 1_500
const LOOK_MS = 500

/**
 * Resolves when the store does not answer any more: what would still be written then is left to whoever comes next.
 *
 * @param look - asks it something small
 */
export const storeIsAway = (look: Effect.Effect<unknown, BerthError>, clock: Clock["Service"]): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (;;) {
      const late = Effect.as(clock.sleep(ANSWER_MS_MAX), false)
      if (!(yield* Effect.raceFirst(Effect.isSuccess(look), late))) return
      yield* clock.sleep(LOOK_MS)
    }
  })

/** A word that may be lost, and keeps nobody waiting. */
export const said = (word: Effect.Effect<void, BerthError>, clock: Clock["Service"]): Effect.Effect<void> =>
  Effect.raceFirst(Effect.ignore(word), clock.sleep(ANSWER_MS_MAX))
