import { Effect, Latch } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { AttemptSink, Exit, Job, Placement } from "../../../core/ports/executor.ts"
import type { OutputStream } from "../../../core/words.ts"
import type { Context } from "./context.ts"
import { followLog, relisten } from "./log.ts"
import { unpausePlace } from "./pause.ts"
import { placeId, runPlace, watched } from "./run.ts"
import { gone, inspectPatiently, patiently, settle, type Watch } from "./settle.ts"

/**
 * Takes over a container that a predecessor made (EX4), in whatever state it is.
 *
 *   | state                  | what happens                                             |
 *   | never started          | it is fed and started, as `run` does                     |
 *   | running, or holding    | its log is read and followed from the given offsets      |
 *   | paused                 | it goes on, then the same                                |
 *   | ended                  | its log is read; its end is in it                        |
 *   | ended without its feed | lost: nothing of the program ran                         |
 *   | gone                   | lost                                                     |
 */
export const adoptPlace = (
  ctx: Context,
  job: Job,
  place: Placement,
  sink: AttemptSink,
  offsets: Readonly<Record<OutputStream, number>>,
): Effect.Effect<Exit, BerthError> =>
  Effect.gen(function* () {
    const id = yield* placeId(place)
    const found = yield* inspectPatiently(ctx, id)
    if (found === null) return yield* gone(id)()
    if (found.State.Status === "created") return yield* runPlace(ctx, job, place, sink)
    // Its worker's fence held it; it is ours now.
    if (found.State.Paused) yield* patiently(ctx, unpausePlace(ctx, id))
    const live = ctx.live.of(id)
    Latch.openUnsafe(live.fed)
    const bootstrapped = found.Config.OpenStdin
    const ranMs = Math.max(0, ctx.options.clock.nowMs() - Date.parse(found.State.StartedAt))
    // An estimate by two clocks; it serves only the outermost time limit.
    live.beganMonoMs ??= ctx.options.clock.monoMs() - Math.min(job.spec.timeoutMs, ranMs || 0)
    return yield* watched(ctx, { job, id, live, bootstrapped }, (onBegan) =>
      Effect.gen(function* () {
        const at = { job, containerId: id, live, bootstrapped, onBegan }
        const { heard, listener } = yield* followLog(ctx, at, sink, offsets, onBegan)
        const watch: Watch = { ...at, listener, source: "log", unbroken: false }
        return yield* settle(ctx, watch, heard, (next, from) => relisten(ctx, next, sink, from))
      }),
    )
  })

/**
 * EX8. Waits until the program is fed: before that a container cannot go on without us. One that a later attempt of this
 * process has adopted is that one's.
 */
export const detachPlace = (ctx: Context, job: Job, place: Placement): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const id = yield* placeId(place)
    const live = ctx.live.of(id)
    const fed = yield* Effect.raceFirst(
      Effect.as(Latch.await(live.fed), true),
      Effect.as(ctx.options.clock.sleep(FEED_WAIT_MS), false),
    )
    if (live.job !== null && live.job !== job) return
    const isLeft = fed || Latch.isOpen(live.ended)
    if (isLeft) live.detached = true
    live.close()
    ctx.live.forget(id)
    if (!isLeft)
      return yield* Effect.fail(berthError("BACKEND_UNAVAILABLE", "the program could not be fed in time to be left"))
  })

const FEED_WAIT_MS = 5_000
