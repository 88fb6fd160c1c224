import { describe, expect, it } from "vitest"
import type { LogRecord } from "../../../core/record.ts"
import { RECORD_LEVEL_MAX } from "../../../core/recordLevel.ts"
import { Recent } from "../../../store/jetstream/recent.ts"
import { decodeRecord, encodeRecord } from "../../../store/shared/codec.ts"
import { checksumOf } from "../../../store/shared/frame.ts"
import { printed, submitted } from "../../support/task.ts"

const written = (recent: Recent, record: LogRecord): Uint8Array => {
  const bytes = encodeRecord(record, RECORD_LEVEL_MAX)
  recent.add(record, bytes)
  return Uint8Array.from(bytes)
}

describe("records that were written a moment ago", () => {
  it("RE1 is the record given for its own bytes, and equal to what they hold?", () => {
    const recent = new Recent()
    const records = ["a", "b"].map((id) => submitted({ id }))
    const bytes = records.map((record) => written(recent, record))
    for (const [at, record] of records.entries()) {
      expect(recent.find(bytes[at] as Uint8Array)).toBe(record)
      expect(decodeRecord(bytes[at] as Uint8Array)).toEqual(record)
    }
  })

  it("RE1 is nothing given for bytes of which one was changed, wherever, or some are missing?", () => {
    const recent = new Recent()
    const bytes = written(recent, submitted({ id: "a" }))
    for (let at = 0; at < bytes.length; at += 1) {
      const damaged = Uint8Array.from(bytes)
      damaged[at] = (damaged[at] as number) ^ 1
      expect(recent.find(damaged)).toBeUndefined()
      expect(recent.find(bytes.subarray(0, at))).toBeUndefined()
    }
  })

  it("RE1 is another record of the same checksum another record?", () => {
    const recent = new Recent()
    const bytes = written(recent, submitted({ id: "a" }))
    const other = Uint8Array.from(encodeRecord(submitted({ id: "b" }), RECORD_LEVEL_MAX))
    other.set(bytes.subarray(1, 5), 1)
    expect(checksumOf(other)).toBe(checksumOf(bytes))
    expect(recent.find(other)).toBeUndefined()
  })

  it("RE2 are only so many kept, the newest, and none that is large?", () => {
    const recent = new Recent()
    const bytes = Array.from({ length: 1_025 }, (_, n) => written(recent, submitted({ id: `t${n}` })))
    const found = bytes.map((each) => recent.find(each) !== undefined)
    expect(found.indexOf(true)).toBe(1)
    expect(found.lastIndexOf(false)).toBe(0)
    const large = submitted({ id: "large", spec: { labels: { a: "x".repeat(16 * 1024) } } })
    expect(recent.find(written(recent, large))).toBeUndefined()
  })

  it("RE3 is output made anew from its bytes?", () => {
    const recent = new Recent()
    expect(recent.find(written(recent, printed("hello")))).toBeUndefined()
  })
})
