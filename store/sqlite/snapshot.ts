/**
 * A node's read model as a copy in pieces, and back.
 *
 *   SP1. A copy is of one moment: rows and checkpoint belong together, whatever is applied meanwhile.
 *   SP2. What is put back stands under its name only when it is whole.
 */
import { createReadStream, createWriteStream } from "node:fs"
import { rename, rm } from "node:fs/promises"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { createGunzip, createGzip } from "node:zlib"
import { Effect } from "effect"
import { asBerthError, berthError, type BerthError } from "../../core/errors.ts"
import type { SnapshotSource } from "../../core/ports/snapshots.ts"
import { openConnection } from "./connection.ts"
import { sync } from "./files.ts"
import { CHECKPOINT, getMeta, MODEL_VERSION } from "./schema.ts"

/** Below what any blob store takes. */
const PIECE_BYTES = 4 * 1024 * 1024

/** Copies of the read model at `path`, which may be in use. */
export const snapshotsOf = (path: string, pieceBytes = PIECE_BYTES): SnapshotSource => ({
  version: MODEL_VERSION,
  take: (onPiece) => {
    const copy = `${path}.copy`
    const taken = Effect.gen(function* () {
      yield* io(path, () => rm(copy, { force: true }))
      yield* withReader(path, (on) => on.run("vacuum into ?", copy))
      const seq = yield* withReader(copy, (on) => getMeta(on, CHECKPOINT))
      const packed = createReadStream(copy).pipe(createGzip({ level: 1 }))
      const pieces = yield* Effect.acquireUseRelease(
        Effect.succeed(packed),
        (stream) => cutInto(stream, pieceBytes, onPiece),
        (stream) => Effect.sync(() => void stream.destroy()),
      )
      return { seq: Number(seq), pieces }
    })
    return Effect.ensuring(taken, Effect.ignore(io(path, () => rm(copy, { force: true }))))
  },
})

/** Writes the read model at `path` from its pieces; whatever was there is replaced. */
export const putBack = (
  path: string,
  pieces: number,
  piece: (index: number) => Effect.Effect<Uint8Array, BerthError>,
): Effect.Effect<void, BerthError> => {
  const partial = `${path}.partial`
  async function* read(): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < pieces; index += 1) yield await Effect.runPromise(piece(index))
  }
  return Effect.ensuring(
    io(path, async () => {
      await pipeline(Readable.from(read()), createGunzip(), createWriteStream(partial, { mode: 0o600 }))
      await sync(partial)
      await removeModel(path)
      await rename(partial, path)
    }),
    Effect.ignore(io(path, () => rm(partial, { force: true }))),
  )
}

/** Throws the read model at `path` away, with all that SQLite keeps beside it. */
export const removeModel = (path: string): Promise<void[]> =>
  Promise.all(["", "-wal", "-shm", "-journal"].map((suffix) => rm(`${path}${suffix}`, { force: true })))

const withReader = <A>(
  path: string,
  use: (on: Effect.Success<ReturnType<typeof openConnection>>) => Effect.Effect<A, BerthError>,
): Effect.Effect<A, BerthError> => Effect.acquireUseRelease(openConnection(path, "read"), use, (on) => on.close)

/** Hands a stream over in pieces of one size, one after another. */
const cutInto = (
  stream: AsyncIterable<Buffer>,
  pieceBytes: number,
  onPiece: (index: number, bytes: Uint8Array) => Effect.Effect<void, BerthError>,
): Effect.Effect<number, BerthError> =>
  Effect.gen(function* () {
    const iterator = stream[Symbol.asyncIterator]()
    let waiting: Buffer[] = []
    let bytes = 0
    let index = 0
    const flush = () => {
      const piece = Buffer.concat(waiting)
      waiting = []
      bytes = 0
      return onPiece(index++, piece)
    }
    for (;;) {
      const next = yield* io("reading the copy", () => iterator.next())
      if (next.done === true) break
      waiting.push(next.value)
      bytes += next.value.byteLength
      if (bytes >= pieceBytes) yield* flush()
    }
    if (bytes > 0) yield* flush()
    return index
  })

const io = <A>(what: string, body: () => Promise<A>): Effect.Effect<A, BerthError> =>
  Effect.tryPromise({
    try: body,
    catch: (cause) => {
      const { code } = cause as NodeJS.ErrnoException
      if (code === "ENOSPC") return berthError("STORAGE_FULL", `${what}: the disk is full`, { cause })
      return code === undefined ? asBerthError(cause) : berthError("STORE_UNAVAILABLE", `${what}: ${code}`, { cause })
    },
  })
