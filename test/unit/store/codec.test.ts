import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { BerthError, type ErrorCode } from "../../../core/errors.ts"
import { LIMITS } from "../../../core/limits.ts"
import type { LogRecord, OutputItem } from "../../../core/record.ts"
import { RECORD_LEVEL_MAX } from "../../../core/recordLevel.ts"
import { decodeRecord, encode, encodeRecord as encodeAt } from "../../../store/shared/codec.ts"
import { DEPTH_MAX, frame } from "../../../store/shared/frame.ts"
import { decodePayload, encodePayload } from "../../../store/shared/payload.ts"
import { decodeRow, encodeRow } from "../../../store/shared/rowCodec.ts"
import { admitted, output, submitted, termBegan, tombstoneOf } from "../../support/task.ts"

const codeOf = (body: () => unknown): ErrorCode | "none" => {
  try {
    body()
    return "none"
  } catch (error) {
    return error instanceof BerthError ? error.code : "INTERNAL"
  }
}

const encodeRecord = (original: LogRecord): Uint8Array => encodeAt(original, RECORD_LEVEL_MAX)

/** Text of any UTF-16, lone surrogates included. */
const text = fc.string({ unit: "binary", maxLength: 40 }).chain((s) => fc.constantFrom(s, `${s}\ud800`, `\udfff${s}`))
const bytes = fc.uint8Array({ maxLength: 300 })
const number = fc
  .oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(Number.MAX_SAFE_INTEGER))
  .map((n) => (n === 0 ? 0 : n))
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    number,
    text,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(
      fc.string({ maxLength: 8 }).filter((key) => key !== "__proto__"),
      tie("value"),
      { maxKeys: 4, noNullPrototype: true },
    ),
  ),
})).value

const item: fc.Arbitrary<OutputItem> = fc.oneof(
  fc.record({
    type: fc.constant("chunk" as const),
    stream: fc.constantFrom("stdout" as const, "stderr" as const),
    offset: fc.nat(),
    bytes,
  }),
  fc.record({
    type: fc.constant("gap" as const),
    stream: fc.constantFrom("stdout" as const, "stderr" as const),
    offset: fc.nat(),
    bytes: fc.option(fc.nat()),
  }),
  fc.record({ type: fc.constant("progress" as const), offset: fc.nat(), data: json, atMs: number }),
)
const labels = fc.dictionary(
  fc.string({ maxLength: 8 }).filter((key) => key !== "__proto__"),
  text,
  { maxKeys: 4, noNullPrototype: true },
)
const record: fc.Arbitrary<LogRecord> = fc.oneof(
  fc.record({ owner: text, labels }).map(({ owner, labels }) => submitted({ id: "a", owner, spec: { labels } })),
  fc.array(item, { maxLength: 6 }).map((items) => output(items)),
  fc.nat().map((term) => termBegan(term)),
  fc
    .array(fc.record({ taskId: fc.string(), epoch: fc.nat() }), { maxLength: 64 })
    .map((admissions) => admitted(...admissions)),
  fc
    .record({ owner: text, atMs: number })
    .map(({ owner, atMs }) => tombstoneOf(submitted({ id: "a", owner }).state, atMs)),
)

describe("codec", () => {
  it("C1 gives every record back equal", () => {
    fc.assert(
      fc.property(record, (original) => {
        expect(decodeRecord(encodeRecord(original))).toEqual(original)
      }),
      { numRuns: 500 },
    )
  })

  it("F1 finds any byte that was changed, wherever it is", () => {
    fc.assert(
      fc.property(record, fc.nat(), fc.integer({ min: 1, max: 255 }), (original, position, change) => {
        const stored = encodeRecord(original)
        const at = position % stored.byteLength
        stored[at] = (stored[at] as number) ^ change
        expect(codeOf(() => decodeRecord(stored))).toBe("STORE_CORRUPT")
      }),
      { numRuns: 500 },
    )
  })

  it("F1 finds a record that was cut off anywhere", () => {
    const stored = encodeRecord(output([{ type: "chunk", stream: "stdout", offset: 0, bytes: new Uint8Array(50) }]))
    for (let length = 0; length < stored.byteLength; length++) {
      expect(codeOf(() => decodeRecord(stored.subarray(0, length)))).toBe("STORE_CORRUPT")
    }
  })

  it("F2 tells a later version, and a kind that nobody here knows, from damage", () => {
    expect(codeOf(() => decodeRecord(frame(RECORD_LEVEL_MAX + 1, "{}")))).toBe("SCHEMA_TOO_NEW")
    expect(codeOf(() => decodeRecord(frame(1, '{"kind":"later"}')))).toBe("SCHEMA_TOO_NEW")
    expect(codeOf(() => decodeRow(frame(9, "{}"), "a"))).toBe("SCHEMA_TOO_NEW")
  })

  it("F3 refuses what JSON would change, naming where it is", () => {
    const progress = (data: unknown) => () => encodeRecord(output([{ type: "progress", offset: 0, data, atMs: 0 }]))
    const hole: unknown[] = []
    hole[2] = 1
    const strange = [
      undefined,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
      1n,
      Symbol("s"),
      () => 1,
      new Map(),
      new Date(),
      new Uint8Array(1),
      hole,
    ]
    for (const value of strange) {
      expect(codeOf(progress(value))).toBe("INVALID_PARAMS")
      expect(codeOf(progress({ deep: [{ in: value }] }))).toBe("INVALID_PARAMS")
    }
    expect(codeOf(progress({ toJSON: () => "something else" }))).toBe("INVALID_PARAMS")
    expect(() => encodeRecord(output([{ type: "progress", offset: 0, data: { wrong: Number.NaN }, atMs: 0 }]))).toThrow(
      expect.objectContaining({ path: "wrong" }),
    )
  })

  it("F3 refuses a value so deep that a reader would overflow, and takes one as deep as allowed", () => {
    const nested = (depth: number): unknown => JSON.parse("[".repeat(depth) + "]".repeat(depth)) as unknown
    const at = (depth: number) => codeOf(() => encodePayload(nested(depth)))
    // The envelope is one level itself.
    expect(at(DEPTH_MAX - 1)).toBe("none")
    expect(at(DEPTH_MAX)).toBe("TOO_LARGE")
    expect(codeOf(() => encodeRecord(output([{ type: "progress", offset: 0, data: nested(5_000), atMs: 0 }])))).toBe(
      "TOO_LARGE",
    )
  })

  it("C2 takes a record as large as allowed, and not one byte more", () => {
    const chunk = (length: number) =>
      output([{ type: "chunk", stream: "stdout", offset: 0, bytes: new Uint8Array(length) }])
    // The length is written in the JSON too: both have six digits here.
    const overhead = encodeRecord(chunk(100_000)).byteLength - 100_000
    const most = LIMITS.recordBytesMax - overhead
    expect(encodeRecord(chunk(most)).byteLength).toBe(LIMITS.recordBytesMax)
    expect(codeOf(() => encodeRecord(chunk(most + 1)))).toBe("TOO_LARGE")
  })

  it("C2 takes as many facts as allowed, and not one more", () => {
    const one = submitted({ id: "a" })
    const facts = (count: number) => ({ ...one, facts: Array.from({ length: count }, () => one.facts).flat() })
    expect(codeOf(() => encodeRecord(facts(LIMITS.recordEventsMax)))).toBe("none")
    expect(codeOf(() => encodeRecord(facts(LIMITS.recordEventsMax + 1)))).toBe("TOO_LARGE")
  })

  it("C3 gives the state as the same JSON that the record holds", () => {
    const one = submitted({ id: "a", owner: "é" })
    const { stateJson } = encode(one, RECORD_LEVEL_MAX)
    expect(JSON.parse(stateJson ?? "")).toEqual(one.state)
    const row = { state: one.state, seq: 7, admitted: { epoch: 1, seq: 3 }, outputPurged: true }
    expect(decodeRow(encodeRow(row, stateJson), "a")).toEqual(row)
    expect(encodeRow(row, stateJson)).toEqual(encodeRow(row))
  })

  it("a decoded chunk is the reader's own", () => {
    const stored = encodeRecord(output([{ type: "chunk", stream: "stdout", offset: 0, bytes: Uint8Array.of(1, 2, 3) }]))
    const first = decodeRecord(stored)
    const chunk = first.kind === "output" ? first.items[0] : undefined
    if (chunk?.type === "chunk") chunk.bytes.fill(9)
    expect(codeOf(() => decodeRecord(stored))).toBe("none")
  })

  it("payloads keep bytes wherever they are", () => {
    fc.assert(
      fc.property(json, bytes, (value, chunk) => {
        const payload = { value, list: [chunk, { chunk }], chunk, none: new Uint8Array(0) }
        expect(decodePayload(encodePayload(payload))).toEqual(payload)
        expect(decodePayload(encodePayload(chunk))).toEqual(chunk)
        expect(decodePayload(encodePayload(value))).toEqual(value)
      }),
    )
  })
})
