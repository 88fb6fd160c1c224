/**
 * What one attempt prints, on its way into the log.
 *
 *   O1. Offsets count the program's own bytes from its begin; what is written twice is dropped here.
 *   O2. Of each stream the first `outputHeadBytesMax` are durable as they come, the last `outputTailBytesMax` at the end; what
 *       lies between was only sent live, and a gap says how much that is.
 *   O3. At most `BUFFER_BYTES_MAX` wait to be written; then `write` waits. So memory is flat whatever a program prints.
 *   O4. After `finish` everything that the totals count is durable; one record at a time, each within the limits of a record.
 *   O5. After `close` nothing is tried again, so that nothing outlives the attempt.
 */
import { Effect } from "effect"
import type { BerthError } from "../core/errors.ts"
import { LIMITS } from "../core/limits.ts"
import type { Clock } from "../core/ports/clock.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import type { OutputItem, OutputRecord } from "../core/record.ts"
import type { StreamTotals } from "../core/task/result.ts"
import type { OutputStream } from "../core/words.ts"
import { makeOutputBuffer } from "./outputBuffer.ts"
import { Tail } from "./tail.ts"

const PROGRESS_PER_ATTEMPT_MAX = 10_000

interface StreamState {
  /** Bytes that were seen, durable or not. */
  nextOffset: number
  headBytes: number
  /** From here on nothing but the tail is kept; null while all of it is. */
  cutAt: number | null
  tail: Tail
}

export interface OutputOptions {
  readonly log: EventLog["Service"]
  readonly clock: Clock["Service"]
  readonly flushMs: number
  /** Sends output that is not kept to whoever watches now. */
  readonly sendLive: (record: OutputRecord) => Effect.Effect<void>
  readonly taskId: string
  readonly owner: string
  readonly attempt: number
  readonly epoch: number
  /** After each durable record. */
  readonly onAppended: Effect.Effect<void>
  /** Durable bytes of each stream so far; 0 unless adopted. */
  readonly offsets: Readonly<Record<OutputStream, number>>
}

export interface OutputWriter {
  readonly write: (stream: OutputStream, offset: number, bytes: Uint8Array) => Effect.Effect<void>
  readonly lost: (stream: OutputStream, offset: number, bytes: number | null) => Effect.Effect<void>
  readonly progress: (data: unknown) => Effect.Effect<void>
  /** Writes what waits, and nothing else: somebody will go on where this ends. */
  readonly flush: Effect.Effect<void, BerthError>
  /** Writes what waits, gaps and tails; may be called again after a failure. */
  readonly finish: Effect.Effect<Readonly<Record<OutputStream, StreamTotals>>, BerthError>
  readonly close: () => void
}

export const makeOutput = (options: OutputOptions): Effect.Effect<OutputWriter> =>
  Effect.sync(() => {
    const streams: Record<OutputStream, StreamState> = { stdout: begin("stdout"), stderr: begin("stderr") }
    let progressCount = 0
    let finished: Readonly<Record<OutputStream, StreamTotals>> | null = null

    function begin(stream: OutputStream): StreamState {
      const offset = options.offsets[stream]
      return { nextOffset: offset, headBytes: offset, cutAt: null, tail: new Tail(LIMITS.outputTailBytesMax) }
    }
    const recordOf = (what: readonly OutputItem[]): OutputRecord => ({
      kind: "output",
      owner: options.owner,
      epoch: options.epoch,
      attempt: options.attempt,
      items: what,
    })
    const { close, flush, keep, room } = makeOutputBuffer({
      ...options,
      append: (items) => options.log.appendOutput(options.taskId, recordOf(items)),
    })

    const lost = (stream: OutputStream, offset: number, bytes: number | null): Effect.Effect<void> =>
      Effect.suspend(() => {
        const state = streams[stream]
        const at = bytes === null ? Math.max(state.nextOffset, offset) : state.nextOffset
        const missing = bytes === null ? null : offset + bytes - at
        if (missing !== null && missing <= 0) return Effect.void
        state.nextOffset = at + (missing ?? 0)
        // The tail has no hole; where only the tail is kept, the gap before it says this loss too.
        if (state.cutAt !== null) state.tail = new Tail(LIMITS.outputTailBytesMax)
        if (state.cutAt !== null && missing !== null) return Effect.void
        return keep({ type: "gap", stream, offset: at, bytes: missing })
      })

    const writeHead = (stream: OutputStream, at: number, bytes: Uint8Array): Effect.Effect<void> =>
      Effect.gen(function* () {
        for (let done = 0; done < bytes.length; done += LIMITS.chunkBytesMax) {
          const part = bytes.subarray(done, done + LIMITS.chunkBytesMax)
          streams[stream].headBytes += part.length
          yield* keep({ type: "chunk", stream, offset: at + done, bytes: part })
          yield* room
        }
      })

    const writeRest = (stream: OutputStream, at: number, bytes: Uint8Array): Effect.Effect<void> => {
      streams[stream].tail.push(bytes)
      return options.sendLive(recordOf([{ type: "chunk", stream, offset: at, bytes }]))
    }

    // Past the head, where gigabytes may pass, no generator holds the bytes: one that is old keeps the next one's alive, and
    // what is read is then freed only when all memory is looked through.
    const write = (stream: OutputStream, offset: number, bytes: Uint8Array): Effect.Effect<void> =>
      Effect.suspend(() => {
        const state = streams[stream]
        const from = state.nextOffset
        if (offset > from) return Effect.andThen(lost(stream, from, offset - from), write(stream, offset, bytes))
        const fresh = bytes.subarray(from - offset)
        const headRoom = state.cutAt === null ? Math.max(0, LIMITS.outputHeadBytesMax - from) : 0
        const head = fresh.subarray(0, headRoom)
        const rest = fresh.subarray(head.length)
        const restAt = from + head.length
        state.nextOffset += fresh.length
        if (rest.length > 0) state.cutAt ??= restAt
        if (head.length === 0) return rest.length === 0 ? Effect.void : writeRest(stream, restAt, rest)
        const first = writeHead(stream, from, head)
        return rest.length === 0
          ? first
          : Effect.andThen(
              first,
              Effect.suspend(() => writeRest(stream, restAt, rest)),
            )
      })

    const finishStream = (stream: OutputStream): Effect.Effect<StreamTotals> =>
      Effect.gen(function* () {
        const { cutAt, headBytes, nextOffset: totalBytes, tail } = streams[stream]
        const kept = tail.bytes()
        const tailAt = totalBytes - kept.length
        if (cutAt !== null && tailAt > cutAt) yield* keep({ type: "gap", stream, offset: cutAt, bytes: tailAt - cutAt })
        if (kept.length > 0) yield* keep({ type: "chunk", stream, offset: tailAt, bytes: kept })
        return { totalBytes, headBytes, tailBytes: kept.length, droppedBytes: totalBytes - headBytes - kept.length }
      })

    return {
      write,
      lost,
      progress: (data) =>
        Effect.suspend(() => {
          progressCount += 1
          if (progressCount > PROGRESS_PER_ATTEMPT_MAX) return Effect.void
          const item = { type: "progress", offset: progressCount, data, atMs: options.clock.nowMs() } as const
          return Effect.andThen(keep(item), room)
        }),
      flush,
      // A second try writes what the first one could not, and counts nothing twice.
      finish: Effect.gen(function* () {
        finished ??= { stdout: yield* finishStream("stdout"), stderr: yield* finishStream("stderr") }
        yield* flush
        return finished
      }),
      close,
    }
  })
