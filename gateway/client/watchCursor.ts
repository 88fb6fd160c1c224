/**
 * Where a watch stands, and what of all that arrives is new. A resumed watch is sent some things twice, output that was
 * only sent live comes again as kept output, and a holder that lost its task may still print.
 *
 *   W1. Events come out in the order of the log, each once, however often and wherever the watch was cut.
 *   W2. Bytes of one run of the program and one stream come out once, by offset, without overlap.
 *   W3. Bytes that are missing are a `gap` event with their place, and their number where it is known.
 *   W4. What an overtaken epoch printed is dropped.
 *   W5. Live output, which is quicker than the log, waits here until the log has told of the start and of the beginning
 *       that is always kept; so what is quick never stands before what is kept, or in its place.
 *
 * One record can carry several events of the same sequence. So a watch resumes just before the last record that it
 * saw, and the cursor tells what of that record was there already: states by sequence, bytes by offset, progress by count.
 */
import { LIMITS } from "../../core/limits.ts"
import type { OutputStream } from "../../core/words.ts"
import type { GapEvent, OutputEvent, ProgressEvent, StateEvent, TaskEvent } from "./events.ts"

/** Live output that waits for the log; beyond it the oldest becomes a gap. */
const HELD_BYTES_MAX = 4 * 1024 * 1024

/** Where one output stream stands. */
interface Place {
  /** Offset that the next byte has, if `exact`; otherwise it has at least this one. */
  readonly at: number
  readonly exact: boolean
  /** Sequence of the last gap of unknown size. */
  readonly gapSeq: number | null
}

const BEGIN: Place = { at: 0, exact: true, gapSeq: null }
const SOMEWHERE: Place = { at: 0, exact: false, gapSeq: null }

export class WatchCursor {
  readonly #fromSeq: number
  readonly #keptBytesMax: number
  #held: OutputEvent[] = []
  #heldBytes = 0
  #lastSeq: number
  #stateSeq: number
  #epoch = 0
  #places: Record<OutputStream, Place> = { stdout: SOMEWHERE, stderr: SOMEWHERE }
  /** Progress events with sequence `#lastSeq`: handed out so far, and arrived since the watch was last resumed. */
  #progressSeen = 0
  #progressArrived = 0

  /**
   * @param fromSeq - the watch shows what comes after this sequence
   * @param keptBytesMax - of each stream so many bytes from its beginning are in the log
   */
  constructor(fromSeq: number, keptBytesMax: number = LIMITS.outputHeadBytesMax) {
    this.#fromSeq = fromSeq
    this.#keptBytesMax = keptBytesMax
    this.#lastSeq = fromSeq
    this.#stateSeq = fromSeq
  }

  /** Sequence of the last event that came out. */
  get lastSeq(): number {
    return this.#lastSeq
  }

  /** From where to watch again; what was seen already will be dropped. */
  resume(): number {
    this.#progressArrived = 0
    return Math.max(this.#fromSeq, this.#lastSeq - 1)
  }

  /** What of this event is new, in order: nothing, the event or a part of it, or a gap and the event. */
  accept(event: TaskEvent): readonly TaskEvent[] {
    if (event.type === "output" && event.seq === null && this.#mustWait(event)) {
      this.#hold(event)
      return []
    }
    const fresh = this.#take(event)
    return this.#held.length === 0 ? fresh : [...fresh, ...this.#release()]
  }

  #take(event: TaskEvent): readonly TaskEvent[] {
    if (event.seq !== null) {
      if (event.seq < this.#lastSeq) return event.type === "end" ? [event] : []
      if (event.seq > this.#lastSeq) {
        this.#lastSeq = event.seq
        this.#progressSeen = 0
        this.#progressArrived = 0
      }
    }
    switch (event.type) {
      case "state":
        return this.#state(event)
      case "output":
        return this.#output(event)
      case "gap":
        return this.#gap(event)
      case "progress":
        return this.#progress(event)
      case "end":
        return [event]
    }
  }

  #state(event: StateEvent): readonly TaskEvent[] {
    if (event.seq <= this.#stateSeq) return []
    this.#stateSeq = event.seq
    if (event.facts.includes("started")) this.#begin(event.task.epoch, BEGIN)
    else if (event.facts.includes("adopted")) this.#epoch = event.task.epoch
    else if (event.task.epoch > this.#epoch) this.#begin(event.task.epoch, SOMEWHERE)
    return [event]
  }

  /** Another run of the program. */
  #begin(epoch: number, place: Place): void {
    this.#epoch = epoch
    this.#places = { stdout: place, stderr: place }
  }

  #output(event: OutputEvent): readonly TaskEvent[] {
    if (this.#isStale(event.epoch)) return []
    const { at, exact, gapSeq } = this.#places[event.stream]
    const end = event.offset + event.bytes.length
    if (end <= at) return []
    this.#places[event.stream] = { at: end, exact: true, gapSeq }
    if (event.offset < at) return [{ ...event, offset: at, bytes: event.bytes.subarray(at - event.offset) }]
    if (event.offset === at || !exact) return [event]
    const { taskId, attempt, epoch, stream } = event
    const gap: GapEvent = {
      type: "gap",
      seq: null,
      taskId,
      attempt,
      epoch,
      stream,
      offset: at,
      bytes: event.offset - at,
    }
    return [gap, event]
  }

  #gap(event: GapEvent): readonly TaskEvent[] {
    if (this.#isStale(event.epoch)) return []
    const { at, exact, gapSeq } = this.#places[event.stream]
    if (event.bytes === null) {
      if (event.seq !== null && event.seq === gapSeq) return []
      this.#places[event.stream] = { at: Math.max(at, event.offset), exact: false, gapSeq: event.seq }
      return [event]
    }
    const end = event.offset + event.bytes
    if (end <= at) return []
    this.#places[event.stream] = { at: end, exact: true, gapSeq }
    const offset = exact ? at : Math.max(at, event.offset)
    return [{ ...event, offset, bytes: end - offset }]
  }

  #progress(event: ProgressEvent): readonly TaskEvent[] {
    if (this.#isStale(event.epoch)) return []
    this.#progressArrived += 1
    if (this.#progressArrived <= this.#progressSeen) return []
    this.#progressSeen = this.#progressArrived
    return [event]
  }

  /** W5. Where the start was not seen and will not be, live output is taken as it comes. */
  #mustWait({ epoch, stream, offset }: OutputEvent): boolean {
    if (epoch > this.#epoch) return this.#epoch > 0 || this.#fromSeq === 0
    const { at, exact } = this.#places[stream]
    return epoch === this.#epoch && exact && at < Math.min(offset, this.#keptBytesMax)
  }

  #hold(event: OutputEvent): void {
    this.#held.push(event)
    this.#heldBytes += event.bytes.length
    while (this.#heldBytes > HELD_BYTES_MAX) this.#heldBytes -= this.#held.shift()?.bytes.length ?? 0
  }

  /** What needs to wait no longer, in the order in which it came. */
  #release(): readonly TaskEvent[] {
    const held = this.#held
    this.#held = []
    this.#heldBytes = 0
    const fresh: TaskEvent[] = []
    for (const event of held) {
      if (this.#mustWait(event)) this.#hold(event)
      else fresh.push(...this.#output(event))
    }
    return fresh
  }

  #isStale(epoch: number): boolean {
    if (epoch > this.#epoch) this.#begin(epoch, SOMEWHERE)
    return epoch < this.#epoch
  }
}
