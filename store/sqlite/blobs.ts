/**
 * Blobs as files below `blobs/`. A file is a header (format, SHA-256 of the rest) and the bytes.
 *
 * Names get a suffix on the disk, so that a key may be a prefix of another one: `a` is the file `a.blob`, `a/b` lies in the directory `a`.
 */
import { createHash } from "node:crypto"
import { readdir, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Blobs } from "../../core/ports/blobs.ts"
import { assertBlobKey, blobPrefix } from "../shared/blobKey.ts"
import { corrupt } from "../shared/frame.ts"
import { attempt } from "./apply.ts"
import { sync, writeDurably } from "./files.ts"

const MAGIC = Buffer.from("BLB1")
const SHA_BYTES = 32
const HEADER_BYTES = MAGIC.byteLength + SHA_BYTES
const SUFFIX = ".blob"

/** @param root - directory of the blobs  @param bytesMax - the largest single blob */
export function makeFileBlobs(root: string, bytesMax: number): Blobs["Service"] {
  let writes = 0
  const fileOf = (key: string): string => join(root, `${key}${SUFFIX}`)
  const put = (key: string, bytes: Uint8Array): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      yield* attempt(() => assertBlobKey(key))
      if (bytes.byteLength > bytesMax) {
        return yield* Effect.fail(berthError("TOO_LARGE", `a blob is at most ${bytesMax} bytes`))
      }
      yield* io(`blob ${key}`, () =>
        writeDurably(fileOf(key), [MAGIC, shaOf(bytes), bytes], `${process.pid}-${writes++}`),
      )
    })
  const get = (key: string): Effect.Effect<Uint8Array | null, BerthError> =>
    Effect.gen(function* () {
      yield* attempt(() => assertBlobKey(key))
      const stored = yield* io(`blob ${key}`, () => ifThere(readFile(fileOf(key)), null))
      return stored === null ? null : yield* attempt(() => checked(key, stored))
    })
  const list = (prefix: string): Effect.Effect<readonly string[], BerthError> =>
    Effect.gen(function* () {
      const bare = yield* attempt(() => blobPrefix(prefix))
      return yield* io(`blobs below ${bare}`, () => keysBelow(root, bare))
    })
  const removePrefix = (prefix: string): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const bare = yield* attempt(() => blobPrefix(prefix))
      yield* io(`blobs below ${bare}`, async () => {
        await rm(fileOf(bare), { force: true })
        await rm(join(root, bare), { recursive: true, force: true })
        await ifThere(sync(join(root, bare, "..")), undefined)
      })
    })
  return { put, get, list, removePrefix, bytesMax }
}

/** The bytes of a stored blob. Throws BerthError STORE_CORRUPT. */
export function checked(key: string, stored: Buffer): Uint8Array {
  const bytes = new Uint8Array(stored.subarray(HEADER_BYTES))
  const isWhole = stored.subarray(0, MAGIC.byteLength).equals(MAGIC)
  if (!isWhole || !stored.subarray(MAGIC.byteLength, HEADER_BYTES).equals(shaOf(bytes))) {
    throw corrupt(`blob ${key}`, "the checksum does not match")
  }
  return bytes
}

/** Keys at and below a prefix (null: all), sorted. */
export async function keysBelow(root: string, prefix: string | null): Promise<readonly string[]> {
  const keys: string[] = []
  const visit = async (directory: string, path: string): Promise<void> => {
    for (const found of await ifThere(readdir(directory, { withFileTypes: true }), [])) {
      const name = path === "" ? found.name : `${path}/${found.name}`
      if (found.isDirectory()) await visit(join(directory, found.name), name)
      else if (name.endsWith(SUFFIX)) keys.push(name.slice(0, -SUFFIX.length))
    }
  }
  await visit(prefix === null ? root : join(root, prefix), prefix ?? "")
  if (prefix !== null && (await ifThere(readFile(join(root, `${prefix}${SUFFIX}`)), null)) !== null) keys.push(prefix)
  return keys.sort()
}

const shaOf = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest()

async function ifThere<A, B>(found: Promise<A>, otherwise: B): Promise<A | B> {
  try {
    return await found
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ENOTDIR") return otherwise
    throw error
  }
}

const io = <A>(what: string, body: () => Promise<A>): Effect.Effect<A, BerthError> =>
  Effect.tryPromise({
    try: body,
    catch: (cause) => {
      const { code } = cause as NodeJS.ErrnoException
      const isFull = code === "ENOSPC" || code === "EDQUOT"
      return berthError(isFull ? "STORAGE_FULL" : "STORE_UNAVAILABLE", `${what}: ${String(code)}`, { cause })
    },
  })
