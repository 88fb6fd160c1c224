/**
 * The directory of one attempt: what the program may use, and what its keeper and its successors need.
 *
 *   <root>/berth-<task>-<epoch>/place.json       whose it is
 *                              /control/         keeper, messages, stdin, stdout, stderr, status, times, overdue
 *                              /box/             the program's files and working directory
 */
import { chmod, mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { dirname, join, sep } from "node:path"
import { Effect } from "effect"
import { asBerthError, BerthError, berthError } from "../../../core/errors.ts"
import type { Job } from "../../../core/ports/executor.ts"
import type { Program } from "../../../core/task/spec.ts"

/** Whose place it is; a sweeper reads it. */
export interface PlaceNote {
  readonly cluster: string
  readonly worker: string
  readonly taskId: string
  readonly epoch: number
}

export interface BoxPaths {
  readonly dir: string
  readonly control: string
  readonly box: string
}

const NAME = /^berth-[A-Za-z0-9_-]{1,64}-\d{1,16}$/

/** The name is known before anything is made, so making it twice makes it once. */
export const placeName = (job: Pick<Job, "taskId" | "epoch">): string => `berth-${job.taskId}-${job.epoch}`

/** @throws BerthError for a name that is not ours: it becomes a path that is removed */
export const pathsOf = (root: string, name: string): BoxPaths => {
  if (!NAME.test(name)) throw berthError("INTERNAL", `"${name}" is not the name of a place`)
  const dir = join(root, name)
  return { dir, control: join(dir, "control"), box: join(dir, "box") }
}

const FULL: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT"])
/** Paths of a program that no disk could hold: a file that is also a folder, a name that is too long. */
const IMPOSSIBLE: ReadonlySet<unknown> = new Set(["ENAMETOOLONG", "ENOTDIR", "EISDIR", "EEXIST"])

/** A full disk is the store's kind of trouble, an impossible path the task's; all others are this host's. */
const diskError = (cause: unknown): BerthError => {
  if (cause instanceof BerthError || !(cause instanceof Error) || !("code" in cause)) return asBerthError(cause)
  if (IMPOSSIBLE.has(cause.code)) return berthError("INVALID_PARAMS", cause.message, { cause })
  return berthError(FULL.has(cause.code) ? "STORAGE_FULL" : "BACKEND_UNAVAILABLE", cause.message, {
    cause,
    hint: "Look at the directory that programs run in: it must be writable and have room.",
  })
}

/** A promise of the file system, with its failures as typed errors. */
export const onDisk = <A>(work: () => Promise<A>): Effect.Effect<A, BerthError> =>
  Effect.tryPromise({ try: work, catch: diskError })

export const makeBox = (paths: BoxPaths, note: PlaceNote): Effect.Effect<void, BerthError> =>
  onDisk(async () => {
    await mkdir(paths.control, { recursive: true, mode: 0o700 })
    await mkdir(join(paths.box, "out"), { recursive: true, mode: 0o700 })
    await writeFile(join(paths.dir, "place.json"), JSON.stringify(note))
  })

/** Writes the program's files and input, and the empty streams. */
export const feedBox = (
  paths: BoxPaths,
  program: Extract<Program, { kind: "runtime" }>,
): Effect.Effect<void, BerthError> =>
  onDisk(async () => {
    for (const file of program.files) {
      const path = join(paths.box, file.path)
      if (!path.startsWith(paths.box + sep))
        throw berthError("INVALID_PARAMS", `the path "${file.path}" leaves the box`)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, Buffer.from(file.content, file.encoding))
      if (file.executable) await chmod(path, 0o755)
    }
    const input = program.stdin === null ? Buffer.alloc(0) : Buffer.from(program.stdin.content, program.stdin.encoding)
    await writeFile(join(paths.control, "stdin"), input)
    for (const stream of ["stdout", "stderr"]) await (await open(join(paths.control, stream), "a")).close()
  })

/** A file of the control directory as text; empty when it is not there. */
export const readControl = async (paths: BoxPaths, name: string): Promise<string> =>
  readFile(join(paths.control, name), "utf8").catch((cause: unknown) => {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return ""
    throw cause
  })

export const removeBox = (paths: BoxPaths): Effect.Effect<void, BerthError> =>
  onDisk(() => rm(paths.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 }))

/** Every place under the root with its note; what cannot be read is none of ours. */
export const listBoxes = (
  root: string,
): Effect.Effect<readonly (PlaceNote & { readonly name: string })[], BerthError> =>
  onDisk(async () => {
    const names = await readdir(root).catch(() => [])
    const found = []
    for (const name of names.filter((candidate) => NAME.test(candidate))) {
      const note = await readFile(join(root, name, "place.json"), "utf8").then(parseNote, () => null)
      if (note !== null) found.push({ ...note, name })
    }
    return found
  })

const parseNote = (text: string): PlaceNote | null => {
  try {
    const note: unknown = JSON.parse(text)
    return typeof note === "object" && note !== null && "worker" in note && "cluster" in note
      ? (note as PlaceNote)
      : null
  } catch {
    return null
  }
}
