import { Option, Schema } from "effect"
import type { OutputStream } from "../../core/words.ts"
import { WireEvent } from "../protocol/events.ts"
import { shapeOf } from "../protocol/shape.ts"
import { fromWireBytes } from "../protocol/utf8.ts"

/** The task changed: `facts` happened, oldest first, and `task` is how it is after them. */
export type StateEvent = Extract<WireEvent, { type: "state" }>
export type ProgressEvent = Extract<WireEvent, { type: "progress" }>
/** The task is at rest and everything was sent. The last event of a watch. */
export type EndEvent = Extract<WireEvent, { type: "end" }>

/** Bytes that the program printed. */
export interface OutputEvent {
  readonly type: "output"
  /** Null: sent live and not kept. */
  readonly seq: number | null
  readonly taskId: string
  readonly attempt: number
  readonly epoch: number
  readonly stream: OutputStream
  /** Bytes of this stream before these, from the attempt's begin. */
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Bytes of a stream that nobody can show any more. */
export interface GapEvent {
  readonly type: "gap"
  /** Null: noticed here, because live output did not arrive. */
  readonly seq: number | null
  readonly taskId: string
  readonly attempt: number
  readonly epoch: number
  readonly stream: OutputStream
  readonly offset: number
  /** Null: nobody knows how many. */
  readonly bytes: number | null
}

/** A circuit breaker of a server changed: from `open` on, what needs that backend waits. */
export type BackendEvent = Extract<WireEvent, { type: "backend" }>

/** One event of a task, told apart by `type`. Resume a watch with the highest `seq` that was handled. */
export type TaskEvent = StateEvent | OutputEvent | GapEvent | ProgressEvent | EndEvent

const decode = Schema.decodeUnknownOption(WireEvent)
const isKnown = shapeOf(WireEvent)

/** Reads an event as it was sent; null when this version does not know its kind. */
export function readEvent(wire: unknown): TaskEvent | BackendEvent | null {
  const event = isKnown(wire) ? (wire as WireEvent) : Option.getOrNull(decode(wire))
  if (event === null || event.type !== "output") return event
  const { data, encoding, ...rest } = event
  const bytes = fromWireBytes({ data, encoding })
  return bytes === null ? null : { ...rest, bytes }
}

/** Memory that an event takes while it waits for its reader, roughly, in bytes. */
export const weighEvent = (event: TaskEvent | BackendEvent): number =>
  event.type === "output" ? 200 + event.bytes.length : 2_000
