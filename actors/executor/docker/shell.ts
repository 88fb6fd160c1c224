import type { ContainerInspectInfo } from "dockerode"
import { Effect, Fiber } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import { CALLS, type Engine } from "./client.ts"
import type { ImageFacts } from "./image.ts"
import type { DockerOptions } from "./options.ts"
import { createOptions } from "./profile.ts"

/**
 * Does an image have what the bootstrap needs? Asked by running one small container of the usual profile, because only the
 * image's own PATH can tell.
 *
 *   SH1. Asked once per image id: who asks meanwhile shares the probe, and what it found is remembered.
 *   SH2. Only a container that is still there has answered. One that vanished says nothing, so the next one asks again.
 *   SH3. A shell that does not answer in its time, or is killed, says nothing at first: its host may be overloaded, or have
 *        slept. The second time in a row it is none: that is the image's doing and says nothing about the engine. It is not
 *        remembered, so that an answer still counts.
 *   SH4. A probe bears its worker's name: no other worker's is in its way, and what a crash left is swept as any place is.
 */
const NEEDED = "command -v tar && command -v rm && command -v sleep"
const PROBE_LIMITS = { memoryBytes: 32 * 1024 * 1024, cpuMilli: 1_000, pidsMax: 16, tmpfsBytes: 1024 * 1024 }
export const PROBE_MS_MAX = 30_000
/** Exit codes above it tell of a signal. */
const STATUS_MAX = 128

/** It has the time limit of the probe, so the engine's layers need none. */
const WAIT = { name: "wait", repeatable: true, deadlineMs: Number.POSITIVE_INFINITY, start: false } as const

export interface ProbeInput {
  readonly cluster: string
  readonly worker: string
  readonly runtime: string
  readonly apparmor: boolean
}

export interface ShellProbe {
  readonly hasShell: (image: ImageFacts, input: ProbeInput) => Effect.Effect<boolean, BerthError>
  /** Whether a container of this name is a probe of ours that has not ended: it removes itself. */
  readonly isUnderWay: (name: string) => boolean
}

/** `none`: it did not answer in its time, or was killed. */
type Answer = "shell" | "noShell" | "none"

/** What it needs of the executor's context. */
interface ProbeDeps {
  readonly engine: Engine
  readonly clock: Pick<DockerOptions["clock"], "sleep">
  readonly inspect: (id: string) => Effect.Effect<ContainerInspectInfo | null, BerthError>
  readonly remove: (id: string) => Effect.Effect<void, BerthError>
}

const bodyOf = (name: string, image: ImageFacts, input: ProbeInput) =>
  createOptions({
    ...input,
    name,
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

/** SH2 and SH3. */
const answerOf = ({ clock, engine, inspect }: ProbeDeps, name: string): Effect.Effect<Answer, BerthError> => {
  const container = engine.docker.getContainer(name)
  const start = engine.call(CALLS.start, () => container.start().then(() => true), {
    // The engine's way to say that there is no `sh` in the image.
    400: () => false,
    // Gone, or going: the look at it afterwards tells.
    404: () => true,
    409: () => true,
  })
  const end = engine.call<unknown>(WAIT, (abortSignal) => container.wait({ abortSignal }), { 404: () => null })
  return Effect.gen(function* () {
    if (!(yield* start)) return "noShell"
    yield* Effect.raceFirst(end, clock.sleep(PROBE_MS_MAX))
    const state = (yield* inspect(name))?.State
    if (state?.Status === "running") return "none"
    if (state?.Status === "exited") {
      if (state.ExitCode > STATUS_MAX) return "none"
      return state.ExitCode === 0 ? "shell" : "noShell"
    }
    return yield* Effect.fail(berthError("BACKEND_UNAVAILABLE", `${name} is gone before it has answered`))
  })
}

export function makeShellProbe(deps: ProbeDeps): ShellProbe {
  const { engine, remove } = deps
  const known = new Map<string, boolean>()
  /** Ids of images whose last probe had no answer. */
  const silent = new Set<string>()
  const underWay = new Map<string, Shared>()

  const probe = (image: ImageFacts, name: string, input: ProbeInput): Effect.Effect<boolean, BerthError> => {
    // The name taken is this probe's own: an answer that was lost, and asked for again.
    const make = engine.call<unknown>(CALLS.create, () => engine.docker.createContainer(bodyOf(name, image, input)), {
      409: () => null,
    })
    return Effect.gen(function* () {
      yield* remove(name)
      yield* make
      const answer = yield* answerOf(deps, name)
      if (answer === "none") {
        if (silent.has(image.id)) return false
        silent.add(image.id)
        return yield* Effect.fail(berthError("BACKEND_UNAVAILABLE", `the shell of ${image.id} did not answer`))
      }
      silent.delete(image.id)
      known.set(image.id, answer === "shell")
      return answer === "shell"
    }).pipe(Effect.ensuring(Effect.ignore(remove(name))))
  }

  /** SH1. A fiber of its own, so that it goes on and cleans up whoever leaves. */
  const begin = (image: ImageFacts, input: ProbeInput): Shared => {
    const name = `berth-probe-${input.cluster}-${input.worker}-${image.id.replace(/^sha256:/, "").slice(0, 24)}`
    const shared = { name, fiber: Effect.runFork(probe(image, name, input)) }
    underWay.set(image.id, shared)
    shared.fiber.addObserver(() => underWay.delete(image.id))
    return shared
  }

  return {
    hasShell: (image, input) =>
      Effect.suspend(() => {
        const answer = image.shellKnown ? true : known.get(image.id)
        if (answer !== undefined) return Effect.succeed(answer)
        return Fiber.join((underWay.get(image.id) ?? begin(image, input)).fiber)
      }),
    isUnderWay: (name) => [...underWay.values()].some((shared) => shared.name === name),
  }
}

interface Shared {
  readonly name: string
  readonly fiber: Fiber.Fiber<boolean, BerthError>
}
