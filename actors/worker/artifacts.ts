/**
 * What a program left, on its way into the record of the end.
 *
 *   AR1. Each file is a blob of its own, under a name that no program chose.
 *   AR2. The record of the end has the list twice, as a fact and in the state, and its size is limited: what does not fit in
 *        `LIMITS.artifactListBytesMax` is not kept, and the result says how many files that are.
 */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import type { Job } from "../../core/ports/executor.ts"
import type { Artifact } from "../../core/task/result.ts"
import { persist } from "../persist.ts"
import type { Deps } from "./held.ts"

export interface Collected {
  readonly artifacts: readonly Artifact[]
  readonly missing: string | null
}

/** Of one try to collect; `whole` is what came of it. */
export interface ArtifactList {
  readonly keep: (path: string, bytes: Uint8Array) => Effect.Effect<Artifact, BerthError>
  readonly whole: (collected: Collected) => Collected
}

export const makeArtifactList = (deps: Deps, job: Job): ArtifactList => {
  const leftOut = new Set<Artifact>()
  let listBytes = 0

  const keep = (path: string, bytes: Uint8Array): Effect.Effect<Artifact, BerthError> =>
    Effect.suspend(() => {
      const sha256 = deps.sha256(bytes)
      const blobKey = `${job.taskId}/${job.epoch}/${sha256}`
      const artifact = { path, sizeBytes: bytes.length, sha256, blobKey }
      // With its comma.
      const entryBytes = Buffer.byteLength(JSON.stringify(artifact)) + 1
      if (listBytes + entryBytes > LIMITS.artifactListBytesMax) {
        leftOut.add(artifact)
        return Effect.succeed(artifact)
      }
      listBytes += entryBytes
      return Effect.as(persist(deps.blobs.put(blobKey, bytes), deps.clock, deps.random), artifact)
    })

  const whole = ({ artifacts, missing }: Collected): Collected => {
    if (leftOut.size === 0) return { artifacts, missing }
    const why = `${leftOut.size} files were left out: the list of a result has at most ${LIMITS.artifactListBytesMax} bytes`
    return {
      artifacts: artifacts.filter((artifact) => !leftOut.has(artifact)),
      missing: missing === null ? why : `${why}; ${missing}`,
    }
  }
  return { keep, whole }
}
