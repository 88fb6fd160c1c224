import { Effect, Fiber, Semaphore } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { EngineCall } from "../guard.ts"
import { engineError, reasonOf, statusOf } from "./client.ts"
import { DEFAULTS, type DockerOptions, type PullProgress } from "./options.ts"
import type Docker from "dockerode"

/**
 * Brings an image to the engine.
 *
 *   PU1. Pulls have a width of their own, and two for one image share one.
 *   PU2. A pull that is interrupted, or over its time, closes its connection, which makes the engine stop it.
 *   PU3. Whatever the registry answers ends as IMAGE_NOT_FOUND with its words: a registry's outage is not the engine's, and a
 *        task must not wait for ever on a name that nobody serves.
 */
export type Pull = (image: string) => Effect.Effect<void, BerthError>

interface ProgressLine {
  readonly status?: string
  readonly error?: string
  readonly progressDetail?: { readonly current?: number; readonly total?: number }
}

export function makePull(docker: Docker, options: DockerOptions): Pull {
  const width = Semaphore.makeUnsafe(options.pullsAtOnce ?? DEFAULTS.pullsAtOnce)
  const call: EngineCall = {
    name: "image pull",
    repeatable: true,
    deadlineMs: options.pullMsMax ?? DEFAULTS.pullMsMax,
    start: false,
  }
  const underWay = new Map<string, Shared>()

  const pullOnce = (image: string): Effect.Effect<void, BerthError> => {
    const login = options.registryLogin?.(image) ?? null
    const open = Effect.tryPromise({
      try: () => docker.pull(image, login === null ? {} : { authconfig: { ...login } }),
      catch: (cause) => (statusOf(cause) === null ? engineError(call.name, cause) : notFound(image, reasonOf(cause))),
    })
    const follow = (stream: NodeJS.ReadableStream) =>
      Effect.callback<void, BerthError>((resume) => {
        docker.modem.followProgress(
          stream,
          (cause) => resume(cause === null ? Effect.void : Effect.fail(notFound(image, reasonOf(cause)))),
          (line: ProgressLine) => options.onPull?.(progressOf(image, line)),
        )
      })
    const close = (stream: NodeJS.ReadableStream) =>
      Effect.sync(() => (stream as NodeJS.ReadableStream & { destroy: () => void }).destroy())
    return options.pullGuard(call, Effect.acquireUseRelease(open, follow, close))
  }

  const leave = (image: string, shared: Shared) =>
    Effect.suspend(() => {
      shared.waiters -= 1
      if (shared.waiters > 0) return Effect.void
      if (underWay.get(image) === shared) underWay.delete(image)
      return Fiber.interrupt(shared.fiber)
    })

  const join = (image: string) =>
    Effect.gen(function* () {
      const shared = underWay.get(image) ?? {
        fiber: yield* Effect.forkDetach(Semaphore.withPermit(width, pullOnce(image))),
        waiters: 0,
      }
      shared.waiters += 1
      underWay.set(image, shared)
      return shared
    })

  return (image) =>
    Effect.acquireUseRelease(
      join(image),
      ({ fiber }) => Fiber.join(fiber),
      (shared) => leave(image, shared),
    )
}

/** One pull under way; the last one who waits for it takes it along (PU1, PU2). */
interface Shared {
  readonly fiber: Fiber.Fiber<void, BerthError>
  waiters: number
}

const notFound = (image: string, words: string): BerthError =>
  berthError("IMAGE_NOT_FOUND", `the engine does not have ${image}, and pulling it failed: ${words}`)

const progressOf = (image: string, line: ProgressLine): PullProgress => ({
  image,
  status: line.status ?? "",
  doneBytes: line.progressDetail?.current ?? 0,
  totalBytes: line.progressDetail?.total ?? 0,
})
