/**
 * Blobs as an object store: pieces, and one head per key that names them.
 *
 *   blob.h.<key>          size, digest, name of the pieces; compare-and-set, one message
 *   blob.p.<name>.<n>     the pieces, never changed
 *
 *   JB1. A blob is there when its head is: one message, so a reader sees the old one, the new one, or none.
 *   JB2. Who replaces or removes a head removes exactly the pieces that it named. A reader that loses its pieces so looks
 *        at the head again.
 *   JB3. The digest is checked on every read.
 *
 * The broker's own object store has a flat list of names and leaves a marker for every one that was removed; tasks come and
 * go for years, and all of one is removed at once. Hence keys are subjects here. A writer that dies leaves pieces without a head.
 */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { asBerthError, berthError, type BerthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import type { Blobs } from "../../core/ports/blobs.ts"
import { assertBlobKey, blobPrefix } from "../shared/blobKey.ts"
import { corrupt } from "../shared/frame.ts"
import { decodePayload, encodePayload } from "../shared/payload.ts"
import type { Link } from "./link.ts"
import type { Names } from "./token.ts"

const PIECE_BYTES = 256 * 1024
const PIECES_AT_ONCE = 8
/** Rivals for one key that a writer, or replacements that a reader, meets before it gives up. */
const ROUNDS_MAX = 64

interface Head {
  readonly pieces: string
  readonly count: number
  readonly bytes: number
  readonly sha256: string
}

const checked = <A>(body: () => A): Effect.Effect<A, BerthError> => Effect.try({ try: body, catch: asBerthError })
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
/** A key's names become tokens; a dot, which a token cannot hold, is written as `=`, which a key cannot hold. */
const tokensOf = (key: string): string => key.replaceAll(".", "=").replaceAll("/", ".")
const keyOf = (tokens: string): string => tokens.replaceAll(".", "/").replaceAll("=", ".")

export function makeBlobs(
  link: Link,
  names: Names,
  newName: () => string,
  bytesMax: number = LIMITS.artifactsBytesMax,
): Blobs["Service"] {
  const stream = names.blobStream
  const headPrefix = `${names.prefix}blob.h.`
  const piecePrefix = `${names.prefix}blob.p.`
  const headSubject = (key: string): string => headPrefix + tokensOf(key)

  const readHead = (key: string) =>
    Effect.flatMap(link.lastOf(stream, headSubject(key)), (stored) =>
      stored === null
        ? Effect.succeed(null)
        : checked(() => ({ seq: stored.seq, head: decodePayload(stored.data) as Head })),
    )
  const dropPieces = ({ pieces, count }: Head): Effect.Effect<void, BerthError> =>
    count === 0 ? Effect.void : link.purge(stream, `${piecePrefix}${pieces}.*`)

  const writePieces = (head: Head, bytes: Uint8Array): Effect.Effect<void, BerthError> =>
    Effect.forEach(
      Array.from({ length: head.count }, (_, n) => n),
      (n) => link.publish(`${piecePrefix}${head.pieces}.${n}`, bytes.subarray(n * PIECE_BYTES, (n + 1) * PIECE_BYTES)),
      { concurrency: PIECES_AT_ONCE, discard: true },
    )
  const writeHead = (key: string, head: Head, roundsLeft = ROUNDS_MAX): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const old = yield* readHead(key)
      yield* link.publish(headSubject(key), encodePayload(head), old?.seq ?? 0).pipe(
        Effect.flatMap(() => (old === null ? Effect.void : dropPieces(old.head))),
        Effect.catch((error) =>
          error.code === "VERSION_CONFLICT" && roundsLeft > 0
            ? writeHead(key, head, roundsLeft - 1)
            : Effect.fail(error),
        ),
      )
    })
  const put = (key: string, bytes: Uint8Array): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      yield* checked(() => assertBlobKey(key))
      if (bytes.byteLength > bytesMax)
        return yield* Effect.fail(berthError("TOO_LARGE", `a blob is at most ${bytesMax} bytes`))
      const count = Math.ceil(bytes.byteLength / PIECE_BYTES)
      const head: Head = { pieces: newName(), count, bytes: bytes.byteLength, sha256: digest(bytes) }
      yield* Effect.andThen(writePieces(head, bytes), writeHead(key, head)).pipe(
        // A full store takes no head; an unknown outcome may have one, so its pieces stay.
        Effect.tapError((error) => (error.code === "STORAGE_FULL" ? Effect.ignore(dropPieces(head)) : Effect.void)),
      )
    })

  const readPieces = (head: Head): Effect.Effect<Uint8Array | null, BerthError> =>
    Effect.map(
      Effect.forEach(
        Array.from({ length: head.count }, (_, n) => n),
        (n) => link.lastOf(stream, `${piecePrefix}${head.pieces}.${n}`),
        { concurrency: PIECES_AT_ONCE },
      ),
      (pieces) => {
        const found = pieces.filter((piece) => piece !== null)
        if (found.length < head.count) return null
        return new Uint8Array(Buffer.concat(found.map((piece) => piece.data)))
      },
    )
  const get = (key: string, lostSeq = 0, roundsLeft = ROUNDS_MAX): Effect.Effect<Uint8Array | null, BerthError> =>
    Effect.gen(function* () {
      yield* checked(() => assertBlobKey(key))
      const found = yield* readHead(key)
      if (found === null) return null
      const bytes = yield* readPieces(found.head)
      if (bytes !== null && bytes.byteLength === found.head.bytes && digest(bytes) === found.head.sha256) return bytes
      if (bytes !== null) return yield* Effect.fail(corrupt(`blob ${key}`, "the digest does not match"))
      if (found.seq === lostSeq || roundsLeft === 0)
        return yield* Effect.fail(corrupt(`blob ${key}`, "a part of it is missing"))
      return yield* get(key, found.seq, roundsLeft - 1)
    })

  const list = (prefix: string): Effect.Effect<readonly string[], BerthError> =>
    Effect.gen(function* () {
      const subject = headSubject(yield* checked(() => blobPrefix(prefix)))
      const subjects = yield* Effect.forEach([subject, `${subject}.>`], (filter) =>
        link.look(`listing ${prefix}`, async () => {
          const { state } = await link.jsm.streams.info(stream, { subjects_filter: filter })
          return Object.keys(state.subjects ?? {})
        }),
      )
      return subjects
        .flat()
        .map((found) => keyOf(found.slice(headPrefix.length)))
        .sort()
    })
  const remove = (key: string): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const found = yield* readHead(key)
      if (found === null) return
      yield* link.purge(stream, headSubject(key), found.seq + 1)
      yield* dropPieces(found.head)
    })
  return {
    put,
    get: (key) => get(key),
    removePrefix: (prefix) =>
      Effect.flatMap(list(prefix), (keys) =>
        Effect.forEach(keys, remove, { discard: true, concurrency: PIECES_AT_ONCE }),
      ),
    list,
    bytesMax,
  }
}
