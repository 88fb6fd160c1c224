import { Effect, Latch } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import type { Job, StopMode } from "../../../core/ports/executor.ts"
import { CALLS } from "./client.ts"
import type { Context } from "./context.ts"
import type { Live } from "./live.ts"

/**
 * Stops a program (EX3).
 *
 *   SO1. SIGTERM goes to every process of the program, the bootstrap and its watcher take no notice. It is sent from a
 *        process of its own in the container; where that cannot start (all processes used up), the grace period runs anyway.
 *   SO2. SIGKILL goes to the whole container and needs nothing inside it; its files are lost with it.
 *   SO3. At the time limit the watcher inside has sent SIGTERM already; it is not sent twice, because a program that cleans
 *        up may take a second one for impatience.
 */

/** How much the watcher's clock and the way to us may differ. */
const SLACK_MS = 1_000
const TERM_ALL = ["sh", "-c", "kill -TERM -1"]

const isHarsher = (mode: StopMode, than: StopMode | null): boolean =>
  than === null || (mode === "kill" && than !== "kill")

/** SO2. Killing what does not run is no error. */
export const killContainer = (ctx: Context, id: string, live: Live): Effect.Effect<void, BerthError> =>
  ctx.engine.call(
    CALLS.kill,
    () => {
      live.killed = true
      return ctx.engine.docker
        .getContainer(id)
        .kill({ signal: "SIGKILL" })
        .then(() => undefined)
    },
    { 404: () => undefined, 409: () => undefined },
  )

/** SO1. @returns false when the program cannot hear a signal, because it is paused */
const terminate = (ctx: Context, id: string, bootstrapped: boolean): Effect.Effect<boolean, BerthError> => {
  const container = ctx.engine.docker.getContainer(id)
  if (!bootstrapped)
    return ctx.engine.call<boolean>(CALLS.kill, () => container.kill({ signal: "SIGTERM" }).then(() => true), {
      404: () => true,
      409: () => true,
    })
  return ctx.engine.call<boolean>(
    CALLS.exec,
    async () => {
      const exec = await container.exec({ Cmd: TERM_ALL, AttachStdout: false, AttachStderr: false })
      await exec.start({ Detach: true })
      return true
    },
    { 404: () => true, 409: () => true, 400: () => true, 500: () => true },
  )
}

const endedWithin = (ctx: Context, live: Live, ms: number): Effect.Effect<boolean> =>
  Effect.raceFirst(Effect.as(Latch.await(live.ended), true), Effect.as(ctx.options.clock.sleep(ms), false))

const watcherDoesIt = (ctx: Context, job: Job, live: Live): boolean =>
  live.beganMonoMs !== null && ctx.options.clock.monoMs() - live.beganMonoMs >= job.spec.timeoutMs - SLACK_MS / 4

export const stopPlace = (ctx: Context, job: Job, id: string, mode: StopMode): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const live = ctx.live.of(id)
    if (Latch.isOpen(live.ended)) return
    const first = live.stop === null
    if (isHarsher(mode, live.stop)) live.stop = mode
    if (mode === "kill") return yield* killContainer(ctx, id, live)
    const found = yield* ctx.inspect(id)
    if (found === null || !found.State.Running) return
    const bootstrapped = found.Config.OpenStdin
    let graceMs = job.spec.graceMs
    // A paused program hears nothing and must not go on first: its lease may be gone.
    if (found.State.Paused) graceMs = 0
    else if (mode === "deadline" && bootstrapped && watcherDoesIt(ctx, job, live)) graceMs += SLACK_MS
    else if (first) yield* terminate(ctx, id, bootstrapped)
    if (!(yield* endedWithin(ctx, live, graceMs))) yield* killContainer(ctx, id, live)
  })
