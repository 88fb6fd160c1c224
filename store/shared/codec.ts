/**
 * Log records as bytes: the frame of frame.ts around JSON, with the bytes of output chunks raw in the tail.
 *
 *   C1. Decoding what was encoded gives an equal record: numbers, text (lone surrogates included), bytes, null.
 *   C2. A record over `LIMITS.recordBytesMax` or with more than `LIMITS.recordEventsMax` facts is refused (TOO_LARGE).
 *   C3. A task's state is turned into JSON once; the read model's row takes the same text.
 *   C4. The frame's version is the record's level. Beyond `RECORD_LEVEL_MAX` nothing is read or written.
 */
import { berthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import type { LogRecord, OutputItem, OutputRecord } from "../../core/record.ts"
import { levelTooNew, RECORD_LEVEL_MAX } from "../../core/recordLevel.ts"
import { assertPlain, corrupt, frame, unframe } from "./frame.ts"

const KINDS: ReadonlySet<string> = new Set<LogRecord["kind"]>(["task", "output", "control", "tombstone"])

/** A record's bytes, and its state as JSON for whoever writes rows (C3); null for records without a state. */
export interface EncodedRecord {
  readonly bytes: Uint8Array
  readonly stateJson: string | null
}

/**
 * Throws BerthError: TOO_LARGE over a limit, INVALID_PARAMS for a value that JSON would change, SCHEMA_TOO_NEW for a level that
 * this program does not know (C4).
 */
export function encode(record: LogRecord, level: number): EncodedRecord {
  if (level > RECORD_LEVEL_MAX) throw levelTooNew(level)
  if (record.kind === "output") return { bytes: bounded(encodeOutput(record, level)), stateJson: null }
  assertPlain(record, "record")
  if (record.kind !== "task") return { bytes: bounded(frame(level, JSON.stringify(record))), stateJson: null }
  if (record.facts.length > LIMITS.recordEventsMax) {
    throw berthError("TOO_LARGE", `a record has at most ${LIMITS.recordEventsMax} facts`)
  }
  const stateJson = JSON.stringify(record.state)
  const head = `{"kind":"task","recordId":${JSON.stringify(record.recordId)},"facts":${JSON.stringify(record.facts)}`
  return { bytes: bounded(frame(level, `${head},"state":${stateJson}}`)), stateJson }
}

export const encodeRecord = (record: LogRecord, level: number): Uint8Array => encode(record, level).bytes

/**
 * The record that `bytes` hold. `what` names it in errors, e.g. `record 17 of t.abc.s`.
 * Throws BerthError: STORE_CORRUPT for damage, SCHEMA_TOO_NEW for a later version or an unknown kind.
 */
export function decodeRecord(bytes: Uint8Array, what = "a record"): LogRecord {
  const { json, tail } = unframe(bytes, RECORD_LEVEL_MAX, what)
  const record = JSON.parse(json) as LogRecord
  if (!KINDS.has(record.kind))
    throw berthError("SCHEMA_TOO_NEW", `${what} is of the unknown kind "${String(record.kind)}"`)
  return record.kind === "output" ? decodeOutput(record, tail, what) : record
}

function encodeOutput(record: OutputRecord, level: number): Uint8Array {
  const tail: Uint8Array[] = []
  const items = record.items.map((item) => {
    if (item.type !== "chunk") return item
    tail.push(item.bytes)
    return { ...item, bytes: item.bytes.byteLength }
  })
  const plain = { ...record, items }
  assertPlain(plain, "record")
  return frame(level, JSON.stringify(plain), tail)
}

function decodeOutput(record: OutputRecord, tail: Uint8Array, what: string): OutputRecord {
  let at = 0
  const items = record.items.map((item): OutputItem => {
    if (item.type !== "chunk") return item
    const end = at + Number(item.bytes)
    if (end > tail.byteLength) throw corrupt(what, "its output is cut off")
    // A copy: a caller that keeps or changes it must not hold or change what the store has.
    const bytes = new Uint8Array(tail.subarray(at, end))
    at = end
    return { ...item, bytes }
  })
  return { ...record, items }
}

function bounded(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength <= LIMITS.recordBytesMax) return bytes
  throw berthError(
    "TOO_LARGE",
    `a record of ${bytes.byteLength} bytes is over the ${LIMITS.recordBytesMax} that one may have`,
  )
}
