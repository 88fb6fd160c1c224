import { type Effect, Latch } from "effect"
import type { StopMode } from "../../core/ports/executor.ts"
import type { Held } from "./held.ts"

/** One task in a worker's hands. */
export interface Entry {
  readonly slot: number
  readonly epoch: number
  /** Opens when the task has left these hands. */
  readonly gone: Latch.Latch
  /** Asked for before there was an attempt to ask. */
  stop: StopMode | null
  /** Null while the attempt is being started. */
  held: Held | null
}

/**
 * The tasks in a worker's hands, and the slots that they take. A slot is taken at once, before anything is awaited, so that
 * whoever counts next counts it.
 */
export class Hands {
  readonly #slots: number
  readonly #free: number[]
  readonly #entries = new Map<string, Entry>()
  readonly #room = Latch.makeUnsafe(true)
  readonly #idle = Latch.makeUnsafe(true)
  #nextExtraSlot: number

  constructor(slots: number) {
    this.#slots = slots
    this.#free = Array.from({ length: slots }, (_, index) => index)
    this.#nextExtraSlot = slots
  }

  /** Takes a free slot for a task; null when there is none. */
  take(taskId: string, epoch: number): Entry | null {
    const slot = this.#free.pop()
    return slot === undefined ? null : this.#put(taskId, epoch, slot)
  }

  /** Takes a slot for a task that runs already: a free one, or one on top. */
  takeAdopted(taskId: string, epoch: number): Entry {
    return this.#put(taskId, epoch, this.#free.pop() ?? this.#nextExtraSlot++)
  }

  release(taskId: string): void {
    const entry = this.#entries.get(taskId)
    this.#entries.delete(taskId)
    if (entry !== undefined && entry.slot < this.#slots) this.#free.push(entry.slot)
    entry?.gone.openUnsafe()
    if (this.#free.length > 0) this.#room.openUnsafe()
    if (this.#entries.size === 0) this.#idle.openUnsafe()
  }

  get(taskId: string): Entry | undefined {
    return this.#entries.get(taskId)
  }
  has(taskId: string): boolean {
    return this.#entries.has(taskId)
  }
  all(): readonly (readonly [string, Entry])[] {
    return [...this.#entries]
  }
  get size(): number {
    return this.#entries.size
  }
  get freeCount(): number {
    return this.#free.length
  }
  /** Resolves when a slot is free. */
  get room(): Effect.Effect<void> {
    return this.#room.await
  }
  /** Resolves when nothing is held. */
  get idle(): Effect.Effect<void> {
    return this.#idle.await
  }

  #put(taskId: string, epoch: number, slot: number): Entry {
    const entry: Entry = { slot, epoch, gone: Latch.makeUnsafe(false), stop: null, held: null }
    this.#entries.set(taskId, entry)
    this.#idle.closeUnsafe()
    if (this.#free.length === 0) this.#room.closeUnsafe()
    return entry
  }
}
