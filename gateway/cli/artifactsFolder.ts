/**
 * Writes what a program left behind into a folder of whoever asked. The names are the program's, so none is believed:
 *
 *   D1. Nothing is written outside the folder: paths are relative and normal, and no link is followed on the way.
 *   D2. No existing file is replaced, and none is written through: every file is new.
 */
import { constants } from "node:fs"
import { lstat, mkdir, open, realpath, unlink } from "node:fs/promises"
import { join } from "node:path"
import { berthError, type BerthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import { pathFault } from "../protocol/fields.ts"

export class ArtifactsFolder {
  readonly #root: string

  private constructor(root: string) {
    this.#root = root
  }

  /** Makes the folder if it is not there. */
  static async open(path: string): Promise<ArtifactsFolder> {
    try {
      await mkdir(path, { recursive: true })
      return new ArtifactsFolder(await realpath(path))
    } catch (cause) {
      throw berthError("INVALID_PARAMS", `--artifacts: ${path} cannot be made`, { path: "--artifacts", cause })
    }
  }

  /** Writes one new file; rejects with INVALID_PARAMS when its path is not allowed or taken. Answers where it is. */
  async write(path: string, bytes: Uint8Array): Promise<string> {
    const fault = pathFault(path)
    if (fault !== undefined) throw refused(path, fault)
    const parts = path.split("/")
    if (parts.length > LIMITS.artifactDepthMax) throw refused(path, `at most ${LIMITS.artifactDepthMax} folders deep`)
    const name = parts.pop() as string
    let folder = this.#root
    for (const part of parts) {
      folder = join(folder, part)
      await this.#folder(folder, path)
    }
    const place = join(folder, name)
    await this.#create(place, path, bytes)
    return place
  }

  /** Made here, or a real folder that was there: never a link (D1). */
  async #folder(folder: string, path: string): Promise<void> {
    await mkdir(folder).catch(() => {})
    const facts = await lstat(folder).catch(() => null)
    if (facts === null || !facts.isDirectory()) throw refused(path, `${folder} is not a folder`)
  }

  async #create(place: string, path: string, bytes: Uint8Array): Promise<void> {
    // O_EXCL follows no link in the last place and replaces nothing (D2).
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    const file = await open(place, flags, 0o644).catch((cause: unknown) => {
      const isTaken = cause instanceof Error && "code" in cause && cause.code === "EEXIST"
      throw refused(path, isTaken ? "there is such a file already" : "it cannot be written", cause)
    })
    try {
      await file.writeFile(bytes)
    } catch (cause) {
      await unlink(place).catch(() => {})
      throw refused(path, "it cannot be written", cause)
    } finally {
      await file.close()
    }
  }
}

const refused = (path: string, why: string, cause?: unknown): BerthError =>
  berthError("INVALID_PARAMS", `artifact ${JSON.stringify(path)}: ${why}`, {
    path: "--artifacts",
    hint: "Name a folder that is empty, or does not exist.",
    cause,
  })
