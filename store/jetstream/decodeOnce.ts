import type { LogEntry, Seq } from "../../core/record.ts"

type Decode = (seq: Seq, subject: string, bytes: Uint8Array) => LogEntry

/** Feeds of one node that are near one another; one that is far behind decodes for itself. */
const ENTRIES_MAX = 1_024
const BYTES_MAX = 8 * 1024

interface Known {
  readonly subject: string
  readonly bytes: Uint8Array
  readonly entry: LogEntry
}

/**
 * Decodes each entry once for all feeds of a node. What is known is used only for the very same bytes; nobody may change an
 * entry that a feed gave.
 */
export function decodeOnce(decode: Decode): Decode {
  const known = new Map<Seq, Known>()
  return (seq, subject, bytes) => {
    const before = known.get(seq)
    if (before !== undefined && before.subject === subject && isSame(before.bytes, bytes)) return before.entry
    const entry = decode(seq, subject, bytes)
    if (bytes.byteLength > BYTES_MAX) return entry
    known.set(seq, { subject, bytes, entry })
    const [oldest] = known.keys()
    if (known.size > ENTRIES_MAX && oldest !== undefined) known.delete(oldest)
    return entry
  }
}

const isSame = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0
