/** Records of the log as rows of `entries`, and back. `sum` binds a record's bytes to its place in the log. */
import { crc32 } from "node:zlib"
import type { LogEntry } from "../../core/record.ts"
import { decodeRecord } from "../shared/codec.ts"
import { corrupt } from "../shared/frame.ts"
import type { Row } from "./connection.ts"

export const ENTRY = "seq, subject, sum, body"

/** Checksum of sequence and subject, seeded with the record's own: a record that moved is found as well. */
export const sumOf = (seq: number, subject: string, body: Uint8Array): number =>
  crc32(`${seq} ${subject}`, (body[1] as number) | ((body[2] as number) << 8) | ((body[3] as number) << 16))

/** Throws BerthError: STORE_CORRUPT, or SCHEMA_TOO_NEW. */
export function entryOf(stored: Row): LogEntry {
  const seq = Number(stored["seq"])
  const subject = String(stored["subject"])
  const body = stored["body"] as Uint8Array
  const what = `record ${seq} of ${subject}`
  const record = decodeRecord(body, what)
  if (sumOf(seq, subject, body) !== stored["sum"]) throw corrupt(what, "it is not where it was written")
  return { seq, subject, record }
}
