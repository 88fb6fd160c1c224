import type { Readable } from "node:stream"
import type Docker from "dockerode"
import { Effect, Fiber, Semaphore } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { EngineCall } from "../guard.ts"
import { engineError, reasonOf, statusOf } from "./client.ts"
import { DEFAULTS, type DockerOptions } from "./options.ts"
import { PullProgress } from "./pullProgress.ts"
import { followPull } from "./pullStream.ts"

/**
 * Brings an image to the engine.
 *
 *   PU1. Pulls have a width of their own, and two for one image share one.
 *   PU2. A pull that is interrupted, or over its time, closes its connection, which makes the engine stop it.
 *   PU3. Whatever the registry answers ends as IMAGE_NOT_FOUND with its words, and so does a pull over its time on an engine
 *        that answers: a registry's outage is not the engine's, and a task must not wait for ever on a name that nobody serves.
 *   PU4. Everybody who waits for a pull is told how far it is, now and then.
 */
export type Pull = (image: string, tell: Tell) => Effect.Effect<void, BerthError>

/** Returns at once. */
export type Tell = (progress: Readonly<Record<string, unknown>>) => void

/** Beyond a pull's own limit, for what its layers cost. */
const SPARE_MS = 60_000
const PING_MS = 5_000

export function makePull(docker: Docker, options: DockerOptions): Pull {
  const width = Semaphore.makeUnsafe(options.pullsAtOnce ?? DEFAULTS.pullsAtOnce)
  const pullMsMax = options.pullMsMax ?? DEFAULTS.pullMsMax
  const call: EngineCall = {
    name: "image pull",
    repeatable: true,
    deadlineMs: pullMsMax + SPARE_MS,
    start: false,
  }
  const { clock } = options
  const underWay = new Map<string, Shared>()

  /** PU3: who is to blame for a pull that takes too long. */
  const tooLong = (image: string): Effect.Effect<never, BerthError> =>
    Effect.raceFirst(
      Effect.as(Effect.tryPromise({ try: () => docker.ping(), catch: (cause) => engineError("ping", cause) }), true),
      Effect.as(clock.sleep(PING_MS), false),
    ).pipe(
      Effect.flatMap((isThere) =>
        Effect.fail(
          isThere
            ? notFound(image, `it takes longer than ${pullMsMax} ms`)
            : berthError("BACKEND_UNAVAILABLE", `${call.name}: no answer within ${pullMsMax} ms`),
        ),
      ),
    )

  const pullOnce = (image: string, told: ReadonlySet<Tell>): Effect.Effect<void, BerthError> => {
    const login = options.registryLogin?.(image) ?? null
    const authconfig = login === null ? {} : { authconfig: { ...login } }
    const progress = new PullProgress(image, clock, (news) => {
      for (const tell of told) tell(news)
    })
    const open = Effect.tryPromise({
      try: (abortSignal) => docker.pull(image, { ...authconfig, abortSignal }) as Promise<Readable>,
      catch: (cause) => (statusOf(cause) === null ? engineError(call.name, cause) : notFound(image, reasonOf(cause))),
    })
    const follow = (stream: Readable) =>
      followPull(stream, (line) => progress.heard(line)).pipe(
        Effect.mapError((end) =>
          end.by === "registry" ? notFound(image, end.words) : engineError(call.name, end.cause),
        ),
      )
    const whole = Effect.flatMap(open, follow)
    return options.pullGuard(call, Effect.raceFirst(whole, Effect.andThen(clock.sleep(pullMsMax), tooLong(image))))
  }

  const leave = (image: string, shared: Shared, tell: Tell) =>
    Effect.suspend(() => {
      shared.waiters -= 1
      shared.told.delete(tell)
      if (shared.waiters > 0) return Effect.void
      if (underWay.get(image) === shared) underWay.delete(image)
      return Fiber.interrupt(shared.fiber)
    })

  const join = (image: string, tell: Tell) =>
    Effect.gen(function* () {
      const known = underWay.get(image)
      const told = known?.told ?? new Set<Tell>()
      const shared = known ?? {
        fiber: yield* Effect.forkDetach(Semaphore.withPermit(width, pullOnce(image, told))),
        waiters: 0,
        told,
      }
      shared.waiters += 1
      told.add(tell)
      underWay.set(image, shared)
      return shared
    })

  return (image, tell) =>
    Effect.acquireUseRelease(
      join(image, tell),
      ({ fiber }) => Fiber.join(fiber),
      (shared) => leave(image, shared, tell),
    )
}

/** One pull under way; the last one who waits for it takes it along (PU1, PU2). */
interface Shared {
  readonly fiber: Fiber.Fiber<void, BerthError>
  waiters: number
  readonly told: Set<Tell>
}

const notFound = (image: string, words: string): BerthError =>
  berthError("IMAGE_NOT_FOUND", `the engine does not have ${image}, and pulling it failed: ${words}`)
