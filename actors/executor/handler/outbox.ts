import { Effect } from "effect"
import { LIMITS } from "../../../core/limits.ts"
import type { AttemptSink } from "../../../core/ports/executor.ts"

/** Text of a handler that waits for the sink; more is dropped and counted. */
export const LOG_BYTES_WAITING_MAX = 1024 * 1024
/** Progress that waits for the sink; beyond it the oldest goes. */
export const PROGRESS_WAITING_MAX = 64

interface Text {
  bytes: Uint8Array
  /** Bytes that were dropped after these. */
  droppedBytes: number
}

/**
 * What a handler says, between its plain calls and the sink's effects, bounded. Lines keep their order, and so does
 * progress. A handler is not made to wait: what a slow sink cannot take is left out of the stream and said with its size.
 */
export class Outbox {
  #texts: Text[] = []
  #progress: unknown[] = []
  #waitingBytes = 0
  #offset = 0

  get isEmpty(): boolean {
    return this.#texts.length === 0 && this.#progress.length === 0
  }

  line(text: string): void {
    const bytes = Buffer.from(`${text}\n`)
    const last = this.#texts.at(-1)
    if (this.#waitingBytes + bytes.length <= LOG_BYTES_WAITING_MAX) {
      this.#waitingBytes += bytes.length
      this.#texts.push({ bytes, droppedBytes: 0 })
    } else if (last !== undefined) last.droppedBytes += bytes.length
    else this.#texts.push({ bytes: new Uint8Array(0), droppedBytes: bytes.length })
  }

  progress(data: unknown): void {
    if (this.#progress.length >= PROGRESS_WAITING_MAX) this.#progress.shift()
    this.#progress.push(data)
  }

  /** Gives the sink what waits now, and what comes meanwhile, one chunk at a time. */
  flush(sink: AttemptSink): Effect.Effect<void> {
    return Effect.whileLoop({ while: () => !this.isEmpty, body: () => this.#next(sink), step: () => undefined })
  }

  #next(sink: AttemptSink): Effect.Effect<void> {
    if (this.#progress.length > 0) return sink.progress(this.#progress.shift())
    const { bytes, droppedBytes } = this.#take()
    const offset = this.#offset
    this.#offset += bytes.length + droppedBytes
    const write = bytes.length === 0 ? Effect.void : sink.write("stdout", offset, bytes)
    if (droppedBytes === 0) return write
    return Effect.andThen(write, sink.lost("stdout", offset + bytes.length, droppedBytes))
  }

  /** Neighbouring lines as one chunk of at most `LIMITS.chunkBytesMax`, up to the first gap. */
  #take(): Text {
    const parts: Uint8Array[] = []
    let sizeBytes = 0
    let droppedBytes = 0
    let whole = 0
    for (const text of this.#texts) {
      const room = LIMITS.chunkBytesMax - sizeBytes
      if (room === 0) break
      if (text.bytes.length > room) {
        parts.push(text.bytes.subarray(0, room))
        sizeBytes += room
        text.bytes = text.bytes.subarray(room)
        break
      }
      parts.push(text.bytes)
      sizeBytes += text.bytes.length
      whole++
      if (text.droppedBytes > 0) {
        droppedBytes = text.droppedBytes
        break
      }
    }
    this.#texts.splice(0, whole)
    this.#waitingBytes -= sizeBytes
    return {
      bytes: parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, sizeBytes),
      droppedBytes,
    }
  }
}
