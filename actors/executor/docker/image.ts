import type { ImageInspectInfo } from "dockerode"
import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import { commandsFor, runtimeByName, type Runtime, type RuntimeCommands } from "../../../core/runtime/catalogue.ts"
import type { Program } from "../../../core/task/spec.ts"
import { CALLS, type Engine } from "./client.ts"

/**
 * Which image a program runs in, and how.
 *
 *   IM1. A name is resolved to an id before create, and only the id is used: a tag that moves meanwhile changes nothing.
 *   IM2. Of a runtime's two images the official one is taken where the engine has it, then the local one, then a pull.
 */
export interface ImageFacts {
  readonly id: string
  /** What is recorded: the registry's digest where there is one, else the id. */
  readonly digest: string
  readonly volumes: readonly string[]
  readonly env: readonly string[]
  /** True where it is known beforehand that `sh` and `tar` are there. */
  readonly shellKnown: boolean
}

/** Has the engine get an image that it lacks. */
type Bring = (image: string) => Effect.Effect<void, BerthError>

export interface Chosen {
  readonly image: ImageFacts
  readonly commands: RuntimeCommands
  readonly runtime: Runtime | null
}

const factsOf = (info: ImageInspectInfo, shellKnown: boolean): ImageFacts => ({
  id: info.Id,
  digest: info.RepoDigests?.[0] ?? info.Id,
  volumes: Object.keys(info.Config?.Volumes ?? {}),
  env: info.Config?.Env ?? [],
  shellKnown,
})

/** @returns null when the engine does not have it */
const find = (engine: Engine, name: string): Effect.Effect<ImageInspectInfo | null, BerthError> =>
  engine.call<ImageInspectInfo | null>(CALLS.imageInspect, () => engine.docker.getImage(name).inspect(), {
    404: () => null,
  })

const required = (engine: Engine, name: string): Effect.Effect<ImageInspectInfo, BerthError> =>
  Effect.flatMap(find(engine, name), (info) =>
    info === null
      ? Effect.fail(berthError("IMAGE_NOT_FOUND", `the engine does not have ${name}`))
      : Effect.succeed(info),
  )

/** A name without tag or digest means `latest`, as in the engine's own commands; otherwise a pull would bring every tag. */
const tagged = (name: string): string => (/[:@][^/]*$/.test(name) ? name : `${name}:latest`)

const firstOf = (
  engine: Engine,
  names: readonly string[],
  pull: Bring | null,
): Effect.Effect<[string, ImageInspectInfo], BerthError> =>
  Effect.gen(function* () {
    for (const name of names) {
      const info = yield* find(engine, name)
      if (info !== null) return [name, info]
    }
    const wanted = tagged(names[0] ?? "")
    if (pull !== null) yield* pull(wanted)
    return [wanted, yield* required(engine, wanted)]
  })

/** @returns the image's facts and the commands that run the program in it */
export const chooseImage = (
  engine: Engine,
  program: Exclude<Program, { kind: "handler" }>,
  pull: Bring | null,
): Effect.Effect<Chosen, BerthError> =>
  Effect.gen(function* () {
    if (program.kind === "image") {
      const [, info] = yield* firstOf(engine, [program.image], pull)
      const run = [...(program.command.length > 0 ? program.command : ownCommand(info)), ...program.args]
      if (run.length === 0)
        return yield* Effect.fail(berthError("IMAGE_REFUSED", `${program.image} has no command of its own; send one`))
      return { image: factsOf(info, false), commands: { run }, runtime: null }
    }
    const runtime = runtimeByName(program.runtime)
    if (runtime === undefined)
      return yield* Effect.fail(berthError("RUNTIME_UNKNOWN", `no runtime is called ${program.runtime}`))
    const [name, info] = yield* firstOf(engine, [runtime.image, runtime.localImage], pull)
    const commands = commandsFor(runtime, name, program.entry)
    return { image: factsOf(info, true), commands: { ...commands, run: [...commands.run, ...program.args] }, runtime }
  })

const ownCommand = (info: ImageInspectInfo): string[] => {
  const entry = info.Config?.Entrypoint
  const own = entry === undefined || entry === null ? [] : typeof entry === "string" ? [entry] : entry
  return [...own, ...(info.Config?.Cmd ?? [])]
}
