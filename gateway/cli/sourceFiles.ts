/**
 * Reads a program from the disk of whoever calls: one file, or a folder with all that is in it.
 *
 *   F1. Nothing outside the folder is read: a link that leads out of it is refused.
 *   F2. Not more than the limits of one task is read, however large the folder is.
 *   F3. Only plain files are read; a pipe or device, which could keep us for ever, is refused.
 */
import type { Stats } from "node:fs"
import { open, readdir, realpath, stat } from "node:fs/promises"
import { basename, join, sep } from "node:path"
import { constants } from "node:fs"
import { berthError, type BerthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import type { FileRequest } from "../client/publicTypes.ts"
import { bytesField } from "./bytesField.ts"

export interface SourceFiles {
  readonly files: readonly FileRequest[]
  /** True when a folder was named. */
  readonly isFolder: boolean
}

const FOLDER_DEPTH_MAX = 32
/** Holds what is no part of a program, and much of it. */
const FOLDERS_SKIPPED: ReadonlySet<string> = new Set([".git", ".hg", ".svn"])

/** Reads the program at `path`. Rejects with INVALID_PARAMS, NOT_FOUND or TOO_LARGE, naming the file. */
export async function readSource(path: string): Promise<SourceFiles> {
  const facts = await look(path)
  if (facts.isDirectory()) {
    const reader = new FolderReader(await realpath(path))
    await reader.read("", 0)
    if (reader.files.length === 0) throw refused(path, "holds no files")
    return { files: reader.files, isFolder: true }
  }
  const file = await readPlain(path, basename(path), LIMITS.programBytesMax)
  return { files: [file.request], isFolder: false }
}

/** Reads one plain file whole, as for standard input. */
export const readWhole = async (path: string): Promise<Uint8Array> =>
  (await readBytes(path, LIMITS.programBytesMax)).bytes

class FolderReader {
  readonly files: FileRequest[] = []
  readonly #root: string
  readonly #seen = new Set<string>()
  #bytes = 0

  constructor(root: string) {
    this.#root = root
  }

  async read(folder: string, depth: number): Promise<void> {
    if (depth > FOLDER_DEPTH_MAX) throw tooLarge(folder, `folders are at most ${FOLDER_DEPTH_MAX} deep`)
    const place = await this.#inside(folder)
    // A link back to a folder above would never end.
    if (this.#seen.has(place)) return
    this.#seen.add(place)
    const entries = await readdir(place)
    for (const name of entries.sort()) {
      if (FOLDERS_SKIPPED.has(name)) continue
      await this.#entry(folder === "" ? name : `${folder}/${name}`, depth)
    }
  }

  async #entry(path: string, depth: number): Promise<void> {
    const place = await this.#inside(path)
    if ((await look(place)).isDirectory()) return this.read(path, depth + 1)
    if (this.files.length >= LIMITS.filesMax) throw tooLarge(path, `a program is at most ${LIMITS.filesMax} files`)
    const { request, bytes } = await readPlain(place, path, LIMITS.programBytesMax - this.#bytes)
    this.#bytes += bytes
    this.files.push(request)
  }

  /** The real place of a path of the folder (F1). */
  async #inside(path: string): Promise<string> {
    const place = await realpath(join(this.#root, path)).catch((cause: unknown) => {
      throw refused(path, "cannot be read", cause)
    })
    if (place !== this.#root && !place.startsWith(this.#root + sep))
      throw refused(path, "is a link that leads out of the folder")
    return place
  }
}

async function readPlain(
  place: string,
  path: string,
  bytesMax: number,
): Promise<{ readonly request: FileRequest; readonly bytes: number }> {
  const { bytes, facts } = await readBytes(place, bytesMax)
  const executable = (facts.mode & 0o111) !== 0
  return { request: { path, ...bytesField(bytes), ...(executable ? { executable } : {}) }, bytes: bytes.length }
}

async function readBytes(
  place: string,
  bytesMax: number,
): Promise<{ readonly bytes: Uint8Array; readonly facts: Stats }> {
  // Opening a pipe would wait for its other end (F3); what was opened is what is looked at.
  const file = await open(place, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw refused(place, "cannot be opened", cause)
  })
  try {
    const facts = await file.stat()
    if (!facts.isFile()) throw refused(place, "is not a plain file")
    if (facts.size > bytesMax) throw tooLarge(place, `a program is at most ${LIMITS.programBytesMax} bytes in all`)
    return { bytes: await file.readFile(), facts }
  } finally {
    await file.close()
  }
}

const look = (path: string): Promise<Stats> =>
  stat(path).catch((cause: unknown) => {
    throw refused(path, "cannot be read", cause)
  })

const refused = (path: string, why: string, cause?: unknown): BerthError => {
  const code = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : ""
  return berthError("INVALID_PARAMS", `${path || "the folder"} ${why}${code}`, {
    path,
    hint: "Name a file, or a folder of plain files.",
  })
}

const tooLarge = (path: string, limit: string): BerthError => berthError("TOO_LARGE", `${path}: ${limit}`, { path })
