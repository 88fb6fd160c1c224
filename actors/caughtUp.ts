import { Effect, Latch } from "effect"
import type { Config } from "../core/config.ts"
import { type BerthError, berthError } from "../core/errors.ts"
import type { Clock } from "../core/ports/clock.ts"
import type { ReadModel } from "../core/ports/readModel.ts"
import type { Seq } from "../core/record.ts"

const LOOK_EVERY_MS = 5

export interface CaughtUpDeps {
  readonly clock: Clock["Service"]
  readonly config: Pick<Config, "readWaitMs">
  readonly readModel: Pick<ReadModel["Service"], "checkpoint">
}

/**
 * Reads follow writes: waits, for a bounded time, until the read model has seen a sequence. However many wait, one looks
 * for all of them; when it is given up, another one does.
 */
export const makeCaughtUp = ({ clock, config, readModel }: CaughtUpDeps) => {
  let seen: Seq = 0
  let looking: Latch.Latch | null = null
  const look = Effect.andThen(clock.sleep(LOOK_EVERY_MS), readModel.checkpoint)
  const lookedAgain: Effect.Effect<Seq, BerthError> = Effect.suspend(() => {
    if (looking !== null) return Effect.map(looking.await, () => seen)
    const done = Latch.makeUnsafe(false)
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        looking = done
      }),
      () => Effect.map(look, (checkpoint) => (seen = checkpoint)),
      () =>
        Effect.sync(() => {
          looking = null
          done.openUnsafe()
        }),
    )
  })
  return (minSeq: Seq): Effect.Effect<void, BerthError> => {
    if (minSeq <= 0) return Effect.void
    const untilMonoMs = clock.monoMs() + config.readWaitMs
    const check = (checkpoint: Seq): Effect.Effect<void, BerthError> => {
      if (checkpoint >= minSeq) return Effect.void
      return clock.monoMs() < untilMonoMs
        ? Effect.flatMap(lookedAgain, check)
        : Effect.fail(berthError("NOT_READY", `this node has read up to ${checkpoint}, not yet to ${minSeq}`))
    }
    return Effect.flatMap(readModel.checkpoint, check)
  }
}
