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
const CLOCK_SLACK_MS = 250
/** How long the watcher's own SIGKILL and report may take on a busy machine before ours ends everything without a report. */
const REPORT_MS_MAX = 2_500
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

/** SO1. What it cannot reach, because it has ended or cannot take another process, the grace period deals with. */
const terminate = (ctx: Context, id: string, bootstrapped: boolean): Effect.Effect<void, BerthError> => {
  const container = ctx.engine.docker.getContainer(id)
  const nothing = () => undefined
  if (!bootstrapped)
    return ctx.engine.call<void>(CALLS.kill, () => container.kill({ signal: "SIGTERM" }).then(nothing), {
      404: nothing,
      409: nothing,
    })
  return ctx.engine.call<void>(
    CALLS.exec,
    async () => {
      const exec = await container.exec({ Cmd: TERM_ALL, AttachStdout: false, AttachStderr: false })
      // Its answer is a stream; while nobody reads it, its socket stays open and keeps this process alive.
      const answer = await exec.start({ Detach: true })
      answer.destroy()
    },
    { 404: nothing, 409: nothing, 400: nothing, 500: nothing },
  )
}

const endedWithin = (ctx: Context, live: Live, ms: number): Effect.Effect<boolean> =>
  Effect.raceFirst(Effect.as(Latch.await(live.ended), true), Effect.as(ctx.options.clock.sleep(ms), false))

/** SO3. How long the watcher still has for SIGTERM, grace and SIGKILL; null while it has no reason to act yet. */
function watcherLeftMs(ctx: Context, job: Job, live: Live): number | null {
  if (live.beganMonoMs === null) return null
  const ranMs = ctx.options.clock.monoMs() - live.beganMonoMs
  if (ranMs < job.spec.timeoutMs - CLOCK_SLACK_MS) return null
  return Math.max(0, job.spec.timeoutMs + job.spec.graceMs + REPORT_MS_MAX - ranMs)
}

export const stopPlace = (ctx: Context, job: Job, id: string, mode: StopMode): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const live = ctx.live.of(id)
    if (Latch.isOpen(live.ended)) return
    if (isHarsher(mode, live.stop)) live.stop = mode
    if (mode === "kill") return yield* killContainer(ctx, id, live)
    const found = yield* ctx.inspect(id)
    if (found === null || !found.State.Running) return
    const bootstrapped = found.Config.OpenStdin
    const leftMs = mode === "deadline" && bootstrapped ? watcherLeftMs(ctx, job, live) : null
    // A paused program hears nothing and must not go on first: its lease may be gone.
    const waitMs = found.State.Paused ? 0 : (leftMs ?? job.spec.graceMs)
    if (!live.told && waitMs > 0 && leftMs === null) {
      yield* terminate(ctx, id, bootstrapped)
      live.told = true
    }
    if (!(yield* endedWithin(ctx, live, waitMs))) yield* killContainer(ctx, id, live)
  })
