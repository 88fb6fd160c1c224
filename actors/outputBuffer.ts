/**
 * What of one attempt waits to be written, in order. O3, O4 and O5 of output.ts are kept here.
 */
import { Effect, Latch, Semaphore } from "effect"
import type { BerthError } from "../core/errors.ts"
import { LIMITS } from "../core/limits.ts"
import type { Clock } from "../core/ports/clock.ts"
import type { OutputItem } from "../core/record.ts"

const BUFFER_BYTES_MAX = 256 * 1024
/** Of one record, so that what waited while the log failed still fits into records afterwards. */
const BATCH_BYTES_MAX = 2 * LIMITS.chunkBytesMax
/** What an item takes beside its bytes. */
const ITEM_BYTES = 128

export interface OutputBufferOptions {
  readonly clock: Clock["Service"]
  readonly flushMs: number
  /** Writes one record of these items, durably. */
  readonly append: (items: readonly OutputItem[]) => Effect.Effect<unknown, BerthError>
  /** After each durable record. */
  readonly onAppended: Effect.Effect<void>
}

export interface OutputBuffer {
  /** Takes an item; writes at once when there is enough for a record, otherwise within `flushMs`. */
  readonly keep: (item: OutputItem) => Effect.Effect<void>
  /** Resolves while there is room: whoever keeps on producing waits for it. */
  readonly room: Effect.Effect<void>
  readonly flush: Effect.Effect<void, BerthError>
  readonly close: () => void
}

/** What an item counts against the buffer: about its bytes in a record. */
function weightOf(item: OutputItem): number {
  if (item.type === "chunk") return item.bytes.length + ITEM_BYTES
  return item.type === "gap" ? ITEM_BYTES : (JSON.stringify(item.data) ?? "").length + ITEM_BYTES
}

export function makeOutputBuffer(options: OutputBufferOptions): OutputBuffer {
  const items: OutputItem[] = []
  const flushing = Semaphore.makeUnsafe(1)
  const room = Latch.makeUnsafe(true)
  let waitingBytes = 0
  let cancelTimer: (() => void) | null = null
  let closed = false

  const takeBatch = (): readonly OutputItem[] => {
    let count = 0
    for (let bytes = 0; count < Math.min(items.length, LIMITS.recordEventsMax); count += 1) {
      bytes += weightOf(items[count] as OutputItem)
      if (count > 0 && bytes > BATCH_BYTES_MAX) break
    }
    return items.splice(0, count)
  }
  const written = (batch: readonly OutputItem[]): void => {
    waitingBytes -= batch.reduce((sum, item) => sum + weightOf(item), 0)
    if (waitingBytes < BUFFER_BYTES_MAX) room.openUnsafe()
  }
  /** What could not be written stays for the next try; a writer that is interrupted leaves no batch half accounted for. */
  const flushAll: Effect.Effect<void, BerthError> = Effect.suspend(() => {
    const batch = takeBatch()
    if (batch.length === 0) return Effect.void
    const append = options.append(batch).pipe(
      Effect.tap(() => Effect.sync(() => written(batch))),
      Effect.tapError(() => Effect.sync(() => void items.unshift(...batch))),
    )
    return Effect.uninterruptible(append).pipe(Effect.andThen(options.onAppended), Effect.andThen(flushAll))
  })
  const cancelFlush = (): void => {
    cancelTimer?.()
    cancelTimer = null
  }
  /** One record at a time, so that the log keeps our order. */
  const flush = flushing.withPermits(1)(Effect.andThen(Effect.sync(cancelFlush), flushAll))
  const flushSoon = (): void => {
    if (closed) return
    cancelTimer ??= options.clock.after(options.flushMs, () => {
      cancelTimer = null
      Effect.runFork(flushOrTryAgain)
    })
  }
  const flushOrTryAgain: Effect.Effect<void> = flush.pipe(Effect.catch(() => Effect.sync(flushSoon)))

  return {
    keep: (item) =>
      Effect.suspend(() => {
        items.push(item)
        waitingBytes += weightOf(item)
        if (waitingBytes >= BUFFER_BYTES_MAX) room.closeUnsafe()
        if (waitingBytes < LIMITS.chunkBytesMax && items.length < LIMITS.recordEventsMax) return Effect.sync(flushSoon)
        return flushOrTryAgain
      }),
    room: room.await,
    flush,
    close: () => {
      closed = true
      cancelFlush()
    },
  }
}
