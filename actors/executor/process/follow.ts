/**
 * Reads a file that a program is still writing, from an offset on, and gives what is read back to the disk.
 *
 *   F1. Every byte from the offset on goes to the sink once, in order, as fast as the sink takes it.
 *   F2. What was read is punched out of the file, so the disk holds little more than what is still to be read. Offsets stay.
 *   F3. The point below which bytes are gone is written down before they go: an adopter says a gap instead of reading zeros.
 */
import { execFile } from "node:child_process"
import { type FileHandle, open, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import type { AttemptSink } from "../../../core/ports/executor.ts"
import type { OutputStream } from "../../../core/words.ts"
import { type BoxPaths, onDisk, readControl } from "./box.ts"

const CHUNK_BYTES = 64 * 1024
/** Read bytes that are left in the file for an adopter whose log is a little behind. */
const KEPT_BYTES = 4 * 1024 * 1024
/** Punching costs a process, so it is done for many bytes at once. */
const PUNCH_BYTES = 32 * 1024 * 1024
/** Of util-linux, which every Debian has; elsewhere it may be missing. */
const PUNCH_TOOL = "fallocate"

export class Follower {
  readonly #stream: OutputStream
  readonly #paths: BoxPaths
  readonly #file: FileHandle
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  #offset: number
  #punchedBytes: number

  private constructor(stream: OutputStream, paths: BoxPaths, file: FileHandle, offset: number, punchedBytes: number) {
    this.#stream = stream
    this.#paths = paths
    this.#file = file
    this.#offset = offset
    this.#punchedBytes = punchedBytes
  }

  /** Follows from `offset` on; bytes that are gone are told to the sink as lost. */
  static open(
    stream: OutputStream,
    paths: BoxPaths,
    offset: number,
    sink: AttemptSink,
  ): Effect.Effect<Follower, BerthError> {
    return Effect.gen(function* () {
      const goneBytes = Number(yield* onDisk(() => readControl(paths, `${stream}.gone`))) || 0
      if (goneBytes > offset) yield* sink.lost(stream, offset, goneBytes - offset)
      const file = yield* onDisk(() => open(join(paths.control, stream), "r"))
      return new Follower(stream, paths, file, Math.max(offset, goneBytes), goneBytes)
    })
  }

  /** Bytes that are written and not read yet. */
  get backlogBytes(): Effect.Effect<number, BerthError> {
    return onDisk(async () => Math.max(0, (await this.#file.stat()).size - this.#offset))
  }

  /** Moves one chunk to the sink. @returns its size in bytes; 0: there was none */
  pump(sink: AttemptSink): Effect.Effect<number, BerthError> {
    return Effect.flatMap(
      onDisk(() => this.#file.read(this.#buffer, 0, CHUNK_BYTES, this.#offset)),
      ({ bytesRead }) => {
        if (bytesRead === 0) return Effect.succeed(0)
        const offset = this.#offset
        // The buffer is used again; the sink may keep what it is given.
        const bytes = Uint8Array.from(this.#buffer.subarray(0, bytesRead))
        return sink.write(this.#stream, offset, bytes).pipe(
          Effect.tap(() =>
            Effect.sync(() => {
              this.#offset = offset + bytesRead
            }),
          ),
          Effect.andThen(Effect.suspend(() => this.#giveBack())),
          Effect.as(bytesRead),
        )
      },
    )
  }

  close(): Effect.Effect<void> {
    return Effect.promise(() => this.#file.close().catch(() => undefined))
  }

  #giveBack(): Effect.Effect<void, BerthError> {
    const uptoBytes = this.#offset - KEPT_BYTES
    if (uptoBytes - this.#punchedBytes < PUNCH_BYTES) return Effect.void
    return onDisk(async () => {
      this.#punchedBytes = uptoBytes
      await writeFile(join(this.#paths.control, `${this.#stream}.gone`), String(uptoBytes))
      await punched(join(this.#paths.control, this.#stream), uptoBytes)
    })
  }
}

/** Where the tool or the file system cannot do it the disk is used for longer, and nothing else changes. */
const punched = (path: string, uptoBytes: number): Promise<void> =>
  new Promise((resolve) => {
    execFile(PUNCH_TOOL, ["--punch-hole", "--offset", "0", "--length", String(uptoBytes), path], () => resolve())
  })
