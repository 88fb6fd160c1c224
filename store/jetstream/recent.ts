/**
 * Records that this node wrote a moment ago: when the log brings their bytes back they need not be made from them anew.
 *
 *   RE1. A record is given for bytes only if they are the very bytes that it was written as; so damage is found as ever (EL10).
 *   RE2. Bounded in records and in bytes; what was written first goes first.
 *   RE3. Output is not kept: its bytes are the caller's, who may use them again.
 */
import type { LogRecord } from "../../core/record.ts"
import { checksumOf } from "../shared/frame.ts"

const RECORDS_MAX = 1_024
const RECORD_BYTES_MAX = 16 * 1024

interface Written {
  readonly bytes: Uint8Array
  readonly record: LogRecord
}

export class Recent {
  /** By the checksum in their frame. */
  readonly #written = new Map<number, Written>()

  add(record: LogRecord, bytes: Uint8Array): void {
    if (record.kind === "output" || bytes.byteLength > RECORD_BYTES_MAX) return
    this.#written.set(checksumOf(bytes), { bytes, record })
    if (this.#written.size > RECORDS_MAX) this.#written.delete(this.#written.keys().next().value as number)
  }

  /** The record that was written as these bytes; undefined: not here, or not lately. */
  find(bytes: Uint8Array): LogRecord | undefined {
    const found = this.#written.get(checksumOf(bytes))
    return found !== undefined && Buffer.compare(found.bytes, bytes) === 0 ? found.record : undefined
  }
}
