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
 *   ST1. A stream that closed without the end having been heard says nothing: the engine's log is read from where it
 *        stopped, and followed if the container still runs. Only the log's end is final.
 *   ST2. A container that ended without its report is the program's own doing only if nothing else explains it: an engine
 *        that was away kills what it finds, and that is nobody's attempt.
 *   ST3. An engine that does not answer is waited for; the attempt has neither failed nor ended.
 */

const ENGINE_WAIT_MS_MAX = 10 * 60_000
const ENGINE_WAIT_STEP_MS = 500
/** Between the end of the stream and the engine's knowing that the container ended. */
const STATE_LOOKS_MAX = 10
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
  /** What was listened to. */
  readonly source: "attached" | "log"
  /** True when it was listened to without a break since its start: then a kill was seen as it happened. */
  readonly unbroken: boolean
}

export const lost = (containerId: string, why: string): BerthError =>
  berthError("BACKEND_UNAVAILABLE", `container ${containerId.slice(0, 12)} is lost: ${why}`, {
    hint: "The attempt ended with its container and is not counted; it starts again.",
  })

/** What an engine's answer means that does not have the container any more. */
export const gone = (containerId: string) => (): Effect.Effect<never, BerthError> =>
  Effect.fail(lost(containerId, "it does not exist any more"))

/** ST3. @param asked - safe to repeat */
export const patiently = <A, R>(
  ctx: Context,
  asked: Effect.Effect<A, BerthError, R>,
): Effect.Effect<A, BerthError, R> =>
  Effect.suspend(() => {
    const untilMs = ctx.options.clock.monoMs() + ENGINE_WAIT_MS_MAX
    const ask: Effect.Effect<A, BerthError, R> = Effect.catch(asked, (error) =>
      error.retryable && ctx.options.clock.monoMs() < untilMs
        ? Effect.andThen(ctx.options.clock.sleep(ENGINE_WAIT_STEP_MS), ask)
        : Effect.fail(error),
    )
    return ask
  })

export const inspectPatiently = (ctx: Context, id: string): Effect.Effect<ContainerInspectInfo | null, BerthError> =>
  patiently(ctx, ctx.inspect(id))

const restedState = (ctx: Context, id: string): Effect.Effect<ContainerInspectInfo | null, BerthError> =>
  Effect.gen(function* () {
    let found = yield* inspectPatiently(ctx, id)
    for (let look = 0; found?.State.Running === true && look < STATE_LOOKS_MAX; look += 1) {
      yield* ctx.options.clock.sleep(STATE_LOOK_MS)
      found = yield* inspectPatiently(ctx, id)
    }
    return found
  })

/** Listens until the program's end is known. `reopen` goes on from the log at the given offsets. */
export const settle = (
  ctx: Context,
  watch: Watch,
  heard: Heard,
  reopen: (watch: Watch, offsets: Readonly<Record<OutputStream, number>>) => Effect.Effect<Exit, BerthError>,
): Effect.Effect<Exit, BerthError> =>
  Effect.gen(function* () {
    const { live, containerId, job, listener } = watch
    if (live.detached) return yield* Effect.fail(berthError("SHUTTING_DOWN", "the container was left to a successor"))
    if (heard.kind === "ended") {
      const unknown = heard.end.oomKills === null
      const oom = unknown && (yield* inspectPatiently(ctx, containerId))?.State.OOMKilled === true
      return exitOf(oom ? { ...heard.end, oomKills: 1 } : heard.end, live.stop, job.spec)
    }
    if (heard.kind === "incomplete")
      return live.stop === null
        ? yield* Effect.fail(lost(containerId, "the program did not arrive whole"))
        : bareExitOf({ status: 0, oomKilled: false, wallMs: null }, live.stop, job.spec)
    const clean = heard.kind === "closed" && heard.clean
    // An engine that goes away ends its streams as cleanly as a program does; only one that still answers saw the end.
    const witnessed = clean && (yield* Effect.isSuccess(ctx.inspect(containerId)))
    const found = yield* clean ? restedState(ctx, containerId) : inspectPatiently(ctx, containerId)
    if (found === null || found.State.Dead || found.State.Status === "removing") return yield* gone(containerId)()
    if (found.State.Running || watch.source === "attached") {
      const unbroken = watch.unbroken && witnessed && !found.State.Running
      const offsets = { stdout: listener.seenBytes("stdout"), stderr: listener.seenBytes("stderr") }
      return yield* reopen({ ...watch, unbroken }, offsets)
    }
    return yield* ended(ctx, watch, found)
  })

/** ST2. */
const ended = (ctx: Context, watch: Watch, found: ContainerInspectInfo): Effect.Effect<Exit, BerthError> => {
  const { live, containerId, job } = watch
  const status = found.State.ExitCode
  const oomKilled = found.State.OOMKilled
  const began = live.beganMonoMs
  const neverBegan = watch.bootstrapped && !watch.listener.began
  const ranMs = began === null ? wallMsOf(found) : Math.round(ctx.options.clock.monoMs() - began)
  const wallMs = neverBegan ? null : ranMs
  if (live.stop === null && !oomKilled) {
    if (found.State.Error !== "" || status === UNSEEN_END)
      return Effect.fail(lost(containerId, `the engine says "${found.State.Error}", exit code ${status}`))
    if (neverBegan) return Effect.fail(lost(containerId, `it ended before its program began, with exit code ${status}`))
    if (status === KILLED && !watch.unbroken)
      return Effect.fail(lost(containerId, "it was killed while nobody watched it"))
  }
  return Effect.succeed(bareExitOf({ status, oomKilled, wallMs }, live.stop, job.spec))
}

/** By the engine's clock alone, so that no other clock is compared with it. */
function wallMsOf(found: ContainerInspectInfo): number | null {
  const startedMs = Date.parse(found.State.StartedAt)
  const finishedMs = Date.parse(found.State.FinishedAt)
  return Number.isFinite(startedMs) && finishedMs > startedMs ? finishedMs - startedMs : null
}
