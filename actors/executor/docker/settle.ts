import type { ContainerInspectInfo } from "dockerode"
import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { Exit, Job } from "../../../core/ports/executor.ts"
import type { OutputStream } from "../../../core/words.ts"
import type { Context } from "./context.ts"
import { bareExitOf, exitOf } from "./exit.ts"
import type { Heard, Listener } from "./listen.ts"
import type { Live } from "./live.ts"

/**
 * From what was heard of a container to how its program ended.
 *
 *   ST1. A stream that broke while the container runs is opened again from the engine's log, and goes on where it stopped.
 *   ST2. A container that ended without its report is the program's own doing only if nothing else explains it: an engine
 *        that was away kills what it finds, and that is nobody's attempt.
 *   ST3. An engine that does not answer is waited for; the attempt has neither failed nor ended.
 */

const ENGINE_WAIT_MS_MAX = 10 * 60_000
const ENGINE_WAIT_STEP_MS = 500
/** Between the end of the stream and the engine's knowing that the container ended. */
const STATE_LOOKS_MAX = 40
const STATE_LOOK_MS = 50
/** The engine's own code for a container whose end it did not see. */
const UNSEEN_END = 255
const KILLED = 137

export interface Watch {
  readonly job: Job
  readonly containerId: string
  readonly live: Live
  readonly listener: Listener
  readonly onBegan: () => void
  readonly bootstrapped: boolean
  /** True when this process did not start it: then a kill may have happened while nobody looked. */
  readonly adopted: boolean
}

export const lost = (containerId: string, why: string): BerthError =>
  berthError("BACKEND_UNAVAILABLE", `container ${containerId.slice(0, 12)} is lost: ${why}`, {
    hint: "The attempt ended with its container and is not counted; it starts again.",
  })

/** ST3. */
export const inspectPatiently = (ctx: Context, id: string): Effect.Effect<ContainerInspectInfo | null, BerthError> =>
  Effect.suspend(() => {
    const untilMs = ctx.options.clock.monoMs() + ENGINE_WAIT_MS_MAX
    const ask: Effect.Effect<ContainerInspectInfo | null, BerthError> = Effect.catch(ctx.inspect(id), (error) =>
      error.retryable && ctx.options.clock.monoMs() < untilMs
        ? Effect.andThen(ctx.options.clock.sleep(ENGINE_WAIT_STEP_MS), ask)
        : Effect.fail(error),
    )
    return ask
  })

const restedState = (ctx: Context, id: string): Effect.Effect<ContainerInspectInfo | null, BerthError> =>
  Effect.gen(function* () {
    let found = yield* inspectPatiently(ctx, id)
    for (let look = 0; found?.State.Running === true && look < STATE_LOOKS_MAX; look += 1) {
      yield* ctx.options.clock.sleep(STATE_LOOK_MS)
      found = yield* inspectPatiently(ctx, id)
    }
    return found
  })

/** Listens until the program's end is known. `reopen` makes a listener for the log, which goes on at the given offsets. */
export const settle = (
  ctx: Context,
  watch: Watch,
  heard: Heard,
  reopen: (offsets: Readonly<Record<OutputStream, number>>) => Effect.Effect<Exit, BerthError>,
): Effect.Effect<Exit, BerthError> =>
  Effect.gen(function* () {
    const { live, containerId, job } = watch
    if (live.detached) return yield* Effect.fail(berthError("SHUTTING_DOWN", "the container was left to a successor"))
    if (heard.kind === "ended") {
      const unknown = heard.end.oomKills === null
      const oom = unknown && (yield* inspectPatiently(ctx, containerId))?.State.OOMKilled === true
      return exitOf(oom ? { ...heard.end, oomKills: 1 } : heard.end, live.stop, job.spec)
    }
    if (heard.kind === "incomplete" && live.stop === null)
      return yield* Effect.fail(lost(containerId, "the program did not arrive whole"))
    const found = yield* restedState(ctx, containerId)
    if (found === null) return yield* Effect.fail(lost(containerId, "it does not exist any more"))
    if (found.State.Running) {
      if (live.stop !== null && heard.kind === "incomplete") return stoppedEarly(watch)
      return yield* reopen({ stdout: watch.listener.seenBytes("stdout"), stderr: watch.listener.seenBytes("stderr") })
    }
    return yield* ended(ctx, watch, heard, found)
  })

const stoppedEarly = (watch: Watch): Exit =>
  bareExitOf({ status: 0, oomKilled: false, wallMs: null }, watch.live.stop, watch.job.spec)

/** ST2. */
const ended = (
  ctx: Context,
  watch: Watch,
  heard: Heard,
  found: ContainerInspectInfo,
): Effect.Effect<Exit, BerthError> => {
  const { live, containerId, job } = watch
  const status = found.State.ExitCode
  const oomKilled = found.State.OOMKilled
  const began = live.beganMonoMs
  const wallMs = began === null ? wallMsOf(found) : Math.round(ctx.options.clock.monoMs() - began)
  if (live.stop === null && !oomKilled) {
    if (found.State.Error !== "" || status === UNSEEN_END)
      return Effect.fail(lost(containerId, `the engine says "${found.State.Error}", exit code ${status}`))
    if (watch.bootstrapped && !watch.listener.began)
      return Effect.fail(lost(containerId, `it ended before its program began, with exit code ${status}`))
    const watched = heard.kind === "closed" && heard.clean && !watch.adopted
    if (status === KILLED && !watched) return Effect.fail(lost(containerId, "it was killed while nobody watched it"))
  }
  return Effect.succeed(bareExitOf({ status, oomKilled, wallMs }, live.stop, job.spec))
}

/** By the engine's clock alone, so that no other clock is compared with it. */
function wallMsOf(found: ContainerInspectInfo): number | null {
  const startedMs = Date.parse(found.State.StartedAt)
  const finishedMs = Date.parse(found.State.FinishedAt)
  return Number.isFinite(startedMs) && finishedMs > startedMs ? finishedMs - startedMs : null
}
