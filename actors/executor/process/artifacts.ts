import { constants } from "node:fs"
import { lstat, open, readdir } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import { LIMITS } from "../../../core/limits.ts"
import type { Artifact } from "../../../core/task/result.ts"
import { onDisk } from "./box.ts"

export interface Collected {
  readonly artifacts: readonly Artifact[]
  /** What was left out first, and why; null when nothing was. */
  readonly missing: string | null
}

interface Survey {
  readonly paths: string[]
  entries: number
  missing: string | null
}

/**
 * Keeps the regular files below `out`, in order of their paths, within the limits of artifacts. Links and devices are passed
 * over and never followed.
 */
export const collectFiles = (
  out: string,
  keep: (path: string, bytes: Uint8Array) => Effect.Effect<Artifact, BerthError>,
): Effect.Effect<Collected, BerthError> =>
  Effect.gen(function* () {
    const survey: Survey = { paths: [], entries: 0, missing: null }
    yield* onDisk(() => walk(out, "", 1, survey))
    const artifacts: Artifact[] = []
    let leftBytes: number = LIMITS.artifactsBytesMax
    for (const path of survey.paths) {
      const read = yield* onDisk(() => readRegular(join(out, path), Math.min(leftBytes, LIMITS.artifactBytesMax)))
      if (read === "other") continue
      if (read === "too large") {
        survey.missing ??= `"${path}" was left out: a file has at most ${LIMITS.artifactBytesMax} bytes, all together ${LIMITS.artifactsBytesMax}`
        continue
      }
      leftBytes -= read.length
      artifacts.push(yield* keep(path, read))
    }
    return { artifacts, missing: survey.missing }
  })

const walk = async (out: string, folder: string, depth: number, survey: Survey): Promise<void> => {
  const names = (await readdir(join(out, folder)).catch(() => [])).sort((one, other) => (one < other ? -1 : 1))
  for (const name of names) {
    const path = folder === "" ? name : `${folder}/${name}`
    if (++survey.entries > LIMITS.artifactEntriesMax) {
      survey.missing ??= `"${path}" and what follows was left out: there are at most ${LIMITS.artifactEntriesMax} entries`
      return
    }
    const kind = await kindOf(join(out, path))
    if (kind === "other") continue
    if (Buffer.byteLength(path) > LIMITS.artifactPathBytesMax || depth > LIMITS.artifactDepthMax) {
      survey.missing ??= `a path was left out: it has at most ${LIMITS.artifactPathBytesMax} bytes and ${LIMITS.artifactDepthMax} levels`
    } else if (kind === "folder") await walk(out, path, depth + 1, survey)
    else survey.paths.push(path)
  }
}

const kindOf = async (path: string): Promise<"file" | "folder" | "other"> => {
  const stat = await lstat(path).catch(() => null)
  return stat?.isFile() === true ? "file" : stat?.isDirectory() === true ? "folder" : "other"
}

/** Looks again at what it has opened: a path may have become something else since. */
const readRegular = async (path: string, bytesMax: number): Promise<Uint8Array | "other" | "too large"> => {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null)
  if (file === null) return "other"
  try {
    const stat = await file.stat()
    if (!stat.isFile()) return "other"
    if (stat.size > bytesMax) return "too large"
    const bytes = new Uint8Array(stat.size)
    const { bytesRead } = await file.read(bytes, 0, stat.size, 0)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}
