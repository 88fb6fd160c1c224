import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import { CALLS } from "./client.ts"
import type { Context } from "./context.ts"

/** Nothing of it runs, or will; false for one that was made and not started yet, which may still be. */
const stands = (ctx: Context, id: string): Effect.Effect<boolean, BerthError> =>
  Effect.map(ctx.inspect(id), (found) => {
    if (found === null || found.State.Paused) return true
    return !found.State.Running && found.State.Status !== "created"
  })

/** EX7. It is asked before it is looked at: a fence has little time, and most containers run. */
export const pausePlace = (ctx: Context, id: string): Effect.Effect<boolean, BerthError> =>
  ctx.engine
    .call<boolean | null>(
      CALLS.pause,
      () =>
        ctx.engine.docker
          .getContainer(id)
          .pause()
          .then(() => true),
      {
        404: () => true,
        // Not running, or paused already.
        409: () => null,
      },
    )
    .pipe(Effect.flatMap((paused) => (paused === null ? stands(ctx, id) : Effect.succeed(paused))))

/** Engines differ in how they refuse to unpause what is not paused, so they are not asked to. */
export const unpausePlace = (ctx: Context, id: string): Effect.Effect<void, BerthError> =>
  Effect.flatMap(ctx.inspect(id), (found) =>
    found?.State.Paused === true
      ? ctx.engine.call<void>(
          CALLS.pause,
          () =>
            ctx.engine.docker
              .getContainer(id)
              .unpause()
              .then(() => undefined),
          {
            404: () => undefined,
            409: () => undefined,
          },
        )
      : Effect.void,
  )
