/**
 * The newest entries of a log, shared by all its readers: who has caught up is served from here, who has not reads pages.
 *
 *   T1. `read` answers for a position only if nothing after it is missing from the window; else null.
 *   T2. The window is bounded in entries and in bytes, however many readers there are and however slow.
 *   T3. A reader that waits wakes when the head moves past its position, and fails when the store closes.
 */
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { LogEntry, Seq } from "../../core/record.ts"

const ENTRIES_MAX = 4_096
const BYTES_MAX = 16 * 1024 * 1024

interface Kept {
  readonly entry: LogEntry
  readonly bytes: number
}

export class Tail {
  /** From `#first` on; what is before it was let go, and its places are given back now and then. */
  #window: (Kept | null)[] = []
  #first = 0
  #windowBytes = 0
  /** Everything after this position is in the window. */
  #floor: Seq
  #head: Seq
  #closed = false
  readonly #waiters = new Set<() => void>()

  constructor(head: Seq) {
    this.#floor = head
    this.#head = head
  }

  get head(): Seq {
    return this.#head
  }

  /** Takes new entries, in log order, each with its stored size. */
  push(entries: readonly Kept[]): void {
    for (const kept of entries) {
      this.#window.push(kept)
      this.#windowBytes += kept.bytes
      this.#head = kept.entry.seq
    }
    this.#trim()
    this.#wake()
  }

  /** Forgets the window, because entries in it were removed from the log; readers go back to pages. */
  forgetWindow(head: Seq): void {
    this.#window = []
    this.#first = 0
    this.#windowBytes = 0
    this.#floor = head
    this.#head = head
    this.#wake()
  }

  /** Up to `entriesMax` entries after `afterSeq`, or null where only pages know (T1). */
  read(afterSeq: Seq, entriesMax: number): readonly LogEntry[] | null {
    if (afterSeq < this.#floor) return null
    const from = this.#firstAfter(afterSeq)
    return this.#window.slice(from, from + entriesMax).map((kept) => (kept as Kept).entry)
  }

  /** Waits until the head is past `seq` (T3). */
  pastHead(seq: Seq): Effect.Effect<void, BerthError> {
    return Effect.callback<void, BerthError>((resume) => {
      const look = (): void => {
        if (this.#closed) resume(Effect.fail(berthError("STORE_UNAVAILABLE", "the store was closed")))
        else if (this.#head > seq) resume(Effect.void)
        else return
        this.#waiters.delete(look)
      }
      this.#waiters.add(look)
      look()
      return Effect.sync(() => this.#waiters.delete(look))
    })
  }

  close(): void {
    this.#closed = true
    this.#wake()
  }

  #wake(): void {
    for (const look of [...this.#waiters]) look()
  }

  #trim(): void {
    while (this.#window.length - this.#first > ENTRIES_MAX || this.#windowBytes > BYTES_MAX) {
      const oldest = this.#window[this.#first] as Kept
      this.#window[this.#first] = null
      this.#windowBytes -= oldest.bytes
      this.#floor = oldest.entry.seq
      this.#first += 1
    }
    // Once for as many as were let go, so that no push moves the whole window.
    if (this.#first < ENTRIES_MAX) return
    this.#window.splice(0, this.#first)
    this.#first = 0
  }

  #firstAfter(seq: Seq): number {
    let low = this.#first
    let high = this.#window.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#window[middle] as Kept).entry.seq > seq) high = middle
      else low = middle + 1
    }
    return low
  }
}
