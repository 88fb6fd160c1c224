import type { Duplex } from "node:stream"
import { Effect, Fiber, Latch, Exit as Outcome, type Scope } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { AttemptSink, Exit, Job, Placement } from "../../../core/ports/executor.ts"
import type { OutputStream } from "../../../core/words.ts"
import { CALLS } from "./client.ts"
import type { Context } from "./context.ts"
import { planFor } from "./create.ts"
import { EngineStream, feedAll } from "./engineStream.ts"
import { bareExitOf } from "./exit.ts"
import { Listener } from "./listen.ts"
import { relisten } from "./log.ts"
import type { Live } from "./live.ts"
import { nonceOf } from "./names.ts"
import { DEFAULTS } from "./options.ts"
import { feedFor, type Plan } from "./plan.ts"
import { gone, inspectPatiently, settle, type Watch } from "./settle.ts"
import { stopPlace } from "./stop.ts"
import { uidOf } from "./uids.ts"

/**
 * Feeds, starts and follows one container to its program's end (EX2).
 *
 *   RU1. Attached before it is started: what is printed before an attach is lost to it.
 *   RU2. Output is read one chunk at a time, so a slow log slows the program down and memory stays flat.
 *   RU3. The time limit is kept in three places: by the watcher inside, by whoever calls `stop`, and here, a little later,
 *        for images without a watcher and programs that killed theirs.
 *   RU4. An image whose own shell or tar keeps the program from beginning has its place no longer than a program may, and what
 *        bringing one in may take. What comes before the container runs is the engine's, whose calls have limits of their own.
 */

const NONE: Readonly<Record<OutputStream, number>> = { stdout: 0, stderr: 0 }
/** For a watcher that does its duty: SIGTERM at the limit, SIGKILL after the grace period. */
const WATCHER_SLACK_MS = 250
/** For the shell and the tar of an honest image on a busy machine, with all that a program may bring along. */
const BEGIN_SLACK_MS = 30_000

export const placeId = (place: Placement): Effect.Effect<string, BerthError> =>
  place.containerId === null
    ? Effect.fail(berthError("INTERNAL", "a container's id is missing from its placement"))
    : Effect.succeed(place.containerId)

interface Attached {
  readonly socket: Duplex
  readonly stream: EngineStream
  /** Null until it has begun. */
  feed: Fiber.Fiber<void> | null
}

/** EX8. Who detaches waits for the feed: a run that is interrupted in it leaves its stream open until the feed has ended. */
const attach = (ctx: Context, id: string, live: Live, feeds: boolean) => {
  const options = { stream: true, stdin: feeds, stdout: true, stderr: true, hijack: true }
  const asked = ctx.engine.call<Effect.Effect<Duplex, BerthError>>(
    CALLS.attach,
    async (abortSignal) =>
      Effect.succeed((await ctx.engine.docker.getContainer(id).attach({ ...options, abortSignal })) as Duplex),
    { 404: gone(id) },
  )
  const owned = Effect.map(Effect.flatten(asked), (socket) => {
    const stream = new EngineStream(socket)
    live.close = () => stream.close()
    const attached: Attached = { socket, stream, feed: null }
    return attached
  })
  return Effect.acquireRelease(owned, ({ feed, stream }, ended) => {
    const close = Effect.sync(() => stream.close())
    if (feed === null || !Outcome.hasInterrupts(ended)) return close
    return Effect.asVoid(Effect.forkDetach(Effect.andThen(Fiber.await(feed), close)))
  })
}

/** A container that somebody removed meanwhile is lost, which says nothing about its image. */
const start = (ctx: Context, id: string): Effect.Effect<void, BerthError> =>
  Effect.flatten(
    ctx.engine.call<Effect.Effect<void, BerthError>>(
      CALLS.start,
      async () => {
        await ctx.engine.docker.getContainer(id).start()
        return Effect.void
      },
      { 304: () => Effect.void, 404: gone(id) },
    ),
  )

/** RU3. Forked at the begin; ends with the run. */
const guardDeadline = (ctx: Context, job: Job, id: string, bootstrapped: boolean): Effect.Effect<void> =>
  Effect.andThen(
    Effect.suspend(() => {
      const ranMs = ctx.options.clock.monoMs() - (ctx.live.of(id).beganMonoMs ?? 0)
      return ctx.options.clock.sleep(Math.max(0, job.spec.timeoutMs - ranMs) + (bootstrapped ? WATCHER_SLACK_MS : 0))
    }),
    Effect.ignore(stopPlace(ctx, job, id, "deadline")),
  )

/** RU4. Forked when the container runs; ends with the run. What an engine that is away did to it is no time limit of the user's. */
const guardBegin = (ctx: Context, job: Job, id: string, live: Live): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* ctx.options.clock.sleep(job.spec.timeoutMs + BEGIN_SLACK_MS)
    if (live.beganMonoMs !== null) return
    const found = yield* inspectPatiently(ctx, id)
    if (found?.State.Running === true && live.beganMonoMs === null) yield* stopPlace(ctx, job, id, "deadline")
  }).pipe(Effect.ignore)

/** Everything that both `run` and `adopt` do around listening. */
export const watched = <A>(
  ctx: Context,
  input: { readonly job: Job; readonly id: string; readonly live: Live; readonly bootstrapped: boolean },
  follow: (onBegan: () => void) => Effect.Effect<A, BerthError, Scope.Scope>,
): Effect.Effect<A, BerthError> => {
  const { job, live } = input
  const began = Latch.makeUnsafe(false)
  // An earlier attempt of this process may have had it: what ended with that one goes on with this one.
  live.job = job
  Latch.closeUnsafe(live.ended)
  const onBegan = () => {
    live.beganMonoMs ??= ctx.options.clock.monoMs()
    Latch.openUnsafe(began)
  }
  const limit = Effect.andThen(Latch.await(began), guardDeadline(ctx, job, input.id, input.bootstrapped))
  return Effect.scoped(
    Effect.gen(function* () {
      yield* Effect.forkScoped(limit)
      return yield* follow(onBegan)
    }),
  ).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        if (live.job === job) Latch.openUnsafe(live.ended)
      }),
    ),
  )
}

const planOfRun = (ctx: Context, job: Job, live: Live): Effect.Effect<Plan, BerthError> =>
  live.plan === null ? planFor(ctx, job) : Effect.succeed(live.plan)

export const runPlace = (
  ctx: Context,
  job: Job,
  place: Placement,
  sink: AttemptSink,
): Effect.Effect<Exit, BerthError> =>
  Effect.gen(function* () {
    const id = yield* placeId(place)
    const live = ctx.live.of(id)
    const plan = yield* planOfRun(ctx, job, live)
    const uid = uidOf(yield* ctx.uidBlock, job.slot)
    const secrets = yield* ctx.options.secrets(job)
    const nonce = nonceOf(ctx.options.markerKey, id)
    const { bootstrapped } = plan
    return yield* watched(ctx, { job, id, live, bootstrapped }, (onBegan) =>
      Effect.gen(function* () {
        if (live.stop !== null) return bareExitOf({ status: 0, oomKilled: false, wallMs: null }, live.stop, job.spec)
        const attached = yield* attach(ctx, id, live, bootstrapped)
        yield* start(ctx, id)
        yield* Effect.forkScoped(guardBegin(ctx, job, id, live))
        if (bootstrapped) {
          const parts = feedFor(job, plan, { nonce, uid, holdMs: ctx.options.holdMs ?? DEFAULTS.holdMs, secrets })
          // A feed that breaks is told by the bootstrap, which then runs nothing.
          attached.feed = yield* Effect.forkDetach(
            Effect.ensuring(
              Effect.ignore(feedAll(attached.socket, parts, ctx.options.halfFed)),
              Effect.sync(() => Latch.openUnsafe(live.fed)),
            ),
          )
        } else Latch.openUnsafe(live.fed)
        const listener = new Listener({ nonce, sink, onBegan, from: NONE, bootstrapped, source: "attached" })
        const heard = yield* listener.listen(attached.stream)
        const watch: Watch = {
          job,
          containerId: id,
          live,
          listener,
          onBegan,
          bootstrapped,
          source: "attached",
          unbroken: true,
        }
        return yield* settle(ctx, watch, heard, (next, from) => relisten(ctx, next, sink, from))
      }),
    )
  })
