import type { Readable } from "node:stream"
import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { Job, Placement } from "../../../core/ports/executor.ts"
import type { Artifact } from "../../../core/task/result.ts"
import { ArtifactTar } from "./artifactTar.ts"
import { CALLS } from "./client.ts"
import type { Context } from "./context.ts"
import { EngineStream } from "./engineStream.ts"
import { placeId } from "./run.ts"
import { Demultiplexer } from "./streams.ts"

/**
 * Takes the files of /box/out from a container that holds after its program's end (EX5). The archive is made by a `tar`
 * inside the container, of the program's own user, when no process of the program is left; it is read in memory.
 */
interface Collected {
  readonly artifacts: readonly Artifact[]
  /** Why some or all are missing; null when nothing is. */
  readonly missing: string | null
}

/** A folder that the program removed or replaced is no failure: then there is nothing. */
const TAR = ["sh", "-c", "[ -d /box/out ] && [ ! -L /box/out ] || exit 0; exec tar -C /box -cf - out"]

const nothing = (missing: string | null): Collected => ({ artifacts: [], missing })

const openTar = (ctx: Context, id: string): Effect.Effect<Readable | null, BerthError> =>
  ctx.engine.call<Readable | null>(
    CALLS.exec,
    async (abortSignal) => {
      const command = { Cmd: TAR, AttachStdout: true, AttachStderr: true, abortSignal }
      const exec = await ctx.engine.docker.getContainer(id).exec(command)
      return (await exec.start({ hijack: true, stdin: false, abortSignal })) as unknown as Readable
    },
    { 404: () => null, 409: () => null },
  )

/** One that ended took its files along; one that the fence holds still has them. */
const withoutTar = (ctx: Context, id: string): Effect.Effect<Collected, BerthError> =>
  Effect.flatMap(ctx.inspect(id), (found) =>
    found?.State.Running === true
      ? Effect.fail(berthError("BACKEND_UNAVAILABLE", "the container is held; its files can be taken when it goes on"))
      : Effect.succeed(nothing("the container had already ended")),
  )

export const collectPlace = (
  ctx: Context,
  job: Job,
  place: Placement,
  keep: (path: string, bytes: Uint8Array) => Effect.Effect<Artifact, BerthError>,
): Effect.Effect<Collected, BerthError> =>
  Effect.gen(function* () {
    if (!job.spec.artifacts) return nothing(null)
    const id = yield* placeId(place)
    if (ctx.live.of(id).killed) return nothing("the program had to be killed together with its container")
    const socket = yield* openTar(ctx, id)
    if (socket === null) return yield* withoutTar(ctx, id)
    const tar = new ArtifactTar()
    const artifacts: Artifact[] = []
    yield* Effect.acquireUseRelease(
      Effect.sync(() => new EngineStream(socket)),
      (stream) => readAll(stream, tar, keep, artifacts),
      (stream) => Effect.sync(() => stream.close()),
    )
    const notes = [...tar.notes]
    if (!tar.over && artifacts.length > 0) notes.push("the archive was cut")
    return { artifacts, missing: notes.length === 0 ? null : notes.join("; ") }
  })

const readAll = (
  stream: EngineStream,
  tar: ArtifactTar,
  keep: (path: string, bytes: Uint8Array) => Effect.Effect<Artifact, BerthError>,
  artifacts: Artifact[],
): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const demultiplexer = new Demultiplexer()
    while (!tar.over) {
      const read = yield* stream.next
      if (read.chunk === null) return
      for (const part of demultiplexer.push(read.chunk)) {
        if (part.stream === "stderr") continue
        for (const file of tar.push(part.bytes)) artifacts.push(yield* keep(file.path, file.bytes))
      }
    }
  })
