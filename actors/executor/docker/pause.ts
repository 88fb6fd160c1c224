import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import { CALLS } from "./client.ts"
import type { Context } from "./context.ts"

/** Engines differ in how they refuse to pause what is paused, so they are not asked to (EX7). */
const turn = (ctx: Context, id: string, pause: boolean) => {
  const container = ctx.engine.docker.getContainer(id)
  return ctx.engine.call<boolean>(
    CALLS.pause,
    () => (pause ? container.pause() : container.unpause()).then(() => true),
    // Gone, or ended between the look and the call.
    { 404: () => true, 409: () => false },
  )
}

/** Answers whether nothing of the container runs, or will: one that was made and not started yet may still be. */
export const pausePlace = (ctx: Context, id: string): Effect.Effect<boolean, BerthError> =>
  Effect.flatMap(ctx.inspect(id), (found) => {
    if (found === null || found.State.Paused) return Effect.succeed(true)
    if (!found.State.Running) return Effect.succeed(found.State.Status !== "created")
    return turn(ctx, id, true)
  })

export const unpausePlace = (ctx: Context, id: string): Effect.Effect<void, BerthError> =>
  Effect.flatMap(ctx.inspect(id), (found) =>
    found?.State.Paused === true ? Effect.asVoid(turn(ctx, id, false)) : Effect.void,
  )
