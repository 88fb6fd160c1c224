import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import { CALLS, type Engine, statusOf } from "./client.ts"
import type { ImageFacts } from "./image.ts"
import { createOptions } from "./profile.ts"

/**
 * Does an image have what the bootstrap needs? Asked once per image id by running one small container of the usual profile,
 * because only the image's own PATH can tell.
 */
const NEEDED = "command -v tar && command -v rm && command -v sleep"
const PROBE_LIMITS = { memoryBytes: 32 * 1024 * 1024, cpuMilli: 1_000, pidsMax: 16, tmpfsBytes: 1024 * 1024 }

export interface ProbeInput {
  readonly cluster: string
  readonly runtime: string
  readonly apparmor: boolean
}

export function makeShellProbe(
  engine: Engine,
): (image: ImageFacts, input: ProbeInput) => Effect.Effect<boolean, BerthError> {
  const known = new Map<string, boolean>()

  const probe = (image: ImageFacts, input: ProbeInput) => {
    const name = `berth-probe-${input.cluster}-${image.id.replace(/^sha256:/, "").slice(0, 24)}`
    const body = createOptions({
      ...input,
      name,
      // No worker's label: nobody takes it for an attempt. A probe that a crash left behind is replaced by the next one.
      worker: "",
      pool: "",
      imageId: image.id,
      imageVolumes: image.volumes,
      imageEnv: image.env,
      uid: 99_999,
      uidBlock: null,
      limits: PROBE_LIMITS,
      argv: ["sh", "-c", NEEDED],
      env: {},
      feeds: false,
    })
    const remove = engine.call(CALLS.remove, () => engine.docker.getContainer(name).remove({ force: true, v: true }), {
      404: () => undefined,
      409: () => undefined,
    })
    const make = engine.call(CALLS.create, () => engine.docker.createContainer(body))
    // A status in the 400s is the engine's way to say that there is no `sh` in the image.
    const start = engine.call(CALLS.start, () =>
      engine.docker
        .getContainer(name)
        .start()
        .then(() => true)
        .catch((cause: unknown) => {
          const status = statusOf(cause)
          if (status !== null && status >= 400 && status < 500) return false
          throw cause
        }),
    )
    const wait = engine.call(
      { name: "wait", repeatable: true, deadlineMs: 30_000, start: false },
      () => engine.docker.getContainer(name).wait() as Promise<{ StatusCode: number }>,
    )
    return Effect.gen(function* () {
      yield* remove
      yield* make
      const started = yield* start
      return started && (yield* wait).StatusCode === 0
    }).pipe(Effect.ensuring(Effect.ignore(remove)))
  }

  return (image, input) =>
    Effect.suspend(() => {
      const answer = image.shellKnown ? true : known.get(image.id)
      if (answer !== undefined) return Effect.succeed(answer)
      return Effect.tap(probe(image, input), (found) => Effect.sync(() => known.set(image.id, found)))
    })
}
