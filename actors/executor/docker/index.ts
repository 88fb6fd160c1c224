import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import type { ExecutorShape, Job, Placement } from "../../../core/ports/executor.ts"
import { adoptPlace, detachPlace } from "./adopt.ts"
import { collectPlace } from "./collect.ts"
import { makeContext } from "./context.ts"
import { createPlace } from "./create.ts"
import { askFacts, type EngineFacts } from "./facts.ts"
import { isolationsOf } from "./isolation.ts"
import { containerName } from "./names.ts"
import type { DockerOptions } from "./options.ts"
import { pausePlace, unpausePlace } from "./pause.ts"
import { findPlaces } from "./places.ts"
import { placeId, runPlace } from "./run.ts"
import { stopPlace } from "./stop.ts"

/** The Docker executor, and what the engine says about itself. */
export interface DockerExecutor extends ExecutorShape {
  /** Asked anew at every call. */
  readonly engineFacts: Effect.Effect<EngineFacts, BerthError>
}

/**
 * Runs programs in hardened containers of one Docker engine (EX1 to EX9).
 *
 * @param options - where the engine is, who we are, and the layers around each call
 */
export function dockerExecutor(options: DockerOptions): DockerExecutor {
  const ctx = makeContext(options)
  /** A place whose id was never learned is found by its name; null when there is none, and nothing to stop. */
  const placeOf = (job: Job, place: Placement) =>
    place.containerId !== null
      ? Effect.succeed(place.containerId)
      : Effect.map(ctx.inspect(containerName(job)), (found) => found?.Id ?? null)
  return {
    name: "docker",
    kinds: ["runtime", "image"],
    engineId: Effect.map(ctx.facts.known, ({ engineId }) => engineId),
    isolations: Effect.map(ctx.facts.fresh, isolationsOf),
    accepting: options.accepting,
    engineFacts: askFacts(ctx.engine),
    create: (job, progress) => createPlace(ctx, job, progress),
    run: (job, place, sink) => runPlace(ctx, job, place, sink),
    adopt: (job, place, sink, offsets) => adoptPlace(ctx, job, place, sink, offsets),
    stop: (job, place, mode) =>
      Effect.flatMap(placeOf(job, place), (id) => (id === null ? Effect.void : stopPlace(ctx, job, id, mode))),
    collect: (job, place, keep) => collectPlace(ctx, job, place, keep),
    remove: (job, place) => {
      const id = place.containerId ?? containerName(job)
      // First of all, whatever the engine does: what is still being fed must not begin any more.
      return Effect.andThen(
        Effect.sync(() => ctx.live.of(id).close()),
        Effect.ensuring(
          ctx.remove(id),
          Effect.sync(() => ctx.live.forget(id)),
        ),
      )
    },
    pause: (place) => Effect.flatMap(placeId(place), (id) => pausePlace(ctx, id)),
    unpause: (place) => Effect.flatMap(placeId(place), (id) => unpausePlace(ctx, id)),
    detach: (job, place) => detachPlace(ctx, job, place),
    places: (workers) => findPlaces(ctx, workers),
  }
}

export type { DockerOptions } from "./options.ts"
