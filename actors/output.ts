/**
 * What one attempt prints, on its way into the log.
 *
 *   O1. Offsets count the program's own bytes from its begin; what is written twice is dropped here.
 *   O2. Of each stream the first `outputHeadBytesMax` are durable as they come, the last `outputTailBytesMax` at the end; what
 *       lies between was only sent live, and a gap says how much that is.
 *   O3. At most `BUFFER_BYTES_MAX` wait to be written; then `write` waits. So memory is flat whatever a program prints.
 *   O4. After `finish` everything that the totals count is durable.
 */
import { Effect, Latch, Semaphore } from "effect"
import type { BerthError } from "../core/errors.ts"
import { LIMITS } from "../core/limits.ts"
import type { Clock } from "../core/ports/clock.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import type { OutputItem, OutputRecord } from "../core/record.ts"
import type { StreamTotals } from "../core/task/result.ts"
import type { OutputStream } from "../core/words.ts"
import { Tail } from "./tail.ts"

const BUFFER_BYTES_MAX = 256 * 1024
const PROGRESS_PER_ATTEMPT_MAX = 10_000

interface StreamState {
  /** Bytes that were seen, durable or not. */
  nextOffset: number
  headBytes: number
  readonly tail: Tail
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
  /** Writes what waits, gaps and tails; may be called again after a failure. */
  readonly finish: Effect.Effect<Readonly<Record<OutputStream, StreamTotals>>, BerthError>
}

export const makeOutput = (options: OutputOptions): Effect.Effect<OutputWriter> =>
  Effect.sync(() => {
    const streams: Record<OutputStream, StreamState> = { stdout: begin("stdout"), stderr: begin("stderr") }
    const flushing = Semaphore.makeUnsafe(1)
    const room = Latch.makeUnsafe(true)
    let items: OutputItem[] = []
    let waitingBytes = 0
    let progressCount = 0
    let cancelTimer: (() => void) | null = null
    let finished: Readonly<Record<OutputStream, StreamTotals>> | null = null

    function begin(stream: OutputStream): StreamState {
      const offset = options.offsets[stream]
      return { nextOffset: offset, headBytes: offset, tail: new Tail(LIMITS.outputTailBytesMax) }
    }
    const recordOf = (what: readonly OutputItem[]): OutputRecord => ({
      kind: "output",
      owner: options.owner,
      epoch: options.epoch,
      attempt: options.attempt,
      items: what,
    })

    /** One record at a time, so that the log keeps our order; what could not be written stays for the next try. */
    const flush: Effect.Effect<void, BerthError> = flushing.withPermits(1)(
      Effect.suspend(() => {
        cancelTimer?.()
        cancelTimer = null
        if (items.length === 0) return Effect.void
        const batch = items
        const batchBytes = waitingBytes
        items = []
        return options.log.appendOutput(options.taskId, recordOf(batch)).pipe(
          Effect.tap(() =>
            Effect.sync(() => {
              waitingBytes -= batchBytes
              if (waitingBytes < BUFFER_BYTES_MAX) room.openUnsafe()
            }),
          ),
          Effect.tapError(() => Effect.sync(() => void (items = [...batch, ...items]))),
          Effect.andThen(options.onAppended),
        )
      }),
    )
    const flushSoon = (): void => {
      cancelTimer ??= options.clock.after(options.flushMs, () => {
        cancelTimer = null
        Effect.runFork(flushOrTryAgain)
      })
    }
    const flushOrTryAgain: Effect.Effect<void> = flush.pipe(Effect.catch(() => Effect.sync(flushSoon)))

    const keep = (item: OutputItem, bytes: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        items.push(item)
        waitingBytes += bytes
        if (waitingBytes >= BUFFER_BYTES_MAX) room.closeUnsafe()
        if (waitingBytes < LIMITS.chunkBytesMax && items.length < LIMITS.recordEventsMax) return Effect.sync(flushSoon)
        return flushOrTryAgain
      })

    const write = (stream: OutputStream, offset: number, bytes: Uint8Array): Effect.Effect<void> =>
      Effect.gen(function* () {
        const state = streams[stream]
        const fresh = bytes.subarray(Math.max(0, state.nextOffset - offset))
        const headRoom = LIMITS.outputHeadBytesMax - state.nextOffset
        state.nextOffset += fresh.length
        const head = fresh.subarray(0, Math.max(0, headRoom))
        const from = state.nextOffset - fresh.length
        for (let at = 0; at < head.length; at += LIMITS.chunkBytesMax) {
          const part = head.subarray(at, at + LIMITS.chunkBytesMax)
          state.headBytes += part.length
          yield* keep({ type: "chunk", stream, offset: from + at, bytes: part }, part.length)
          yield* room.await
        }
        const rest = fresh.subarray(head.length)
        if (rest.length === 0) return
        state.tail.push(rest)
        yield* options.sendLive(recordOf([{ type: "chunk", stream, offset: from + head.length, bytes: rest }]))
      })

    const finishStream = (stream: OutputStream): Effect.Effect<StreamTotals> =>
      Effect.gen(function* () {
        const { headBytes, nextOffset: totalBytes, tail } = streams[stream]
        const kept = tail.bytes()
        const droppedBytes = totalBytes - headBytes - kept.length
        if (droppedBytes > 0) yield* keep({ type: "gap", stream, offset: headBytes, bytes: droppedBytes }, 0)
        if (kept.length > 0)
          yield* keep({ type: "chunk", stream, offset: totalBytes - kept.length, bytes: kept }, kept.length)
        return { totalBytes, headBytes, tailBytes: kept.length, droppedBytes: Math.max(0, droppedBytes) }
      })

    return {
      write,
      lost: (stream, offset, bytes) =>
        Effect.suspend(() => {
          const state = streams[stream]
          state.nextOffset = Math.max(state.nextOffset, offset) + (bytes ?? 0)
          return keep({ type: "gap", stream, offset, bytes }, 0)
        }),
      progress: (data) =>
        Effect.suspend(() => {
          progressCount += 1
          if (progressCount > PROGRESS_PER_ATTEMPT_MAX) return Effect.void
          return keep({ type: "progress", offset: progressCount, data, atMs: options.clock.nowMs() }, 256)
        }),
      // A second try writes what the first one could not, and counts nothing twice.
      finish: Effect.gen(function* () {
        finished ??= { stdout: yield* finishStream("stdout"), stderr: yield* finishStream("stderr") }
        yield* flush
        return finished
      }),
    }
  })
