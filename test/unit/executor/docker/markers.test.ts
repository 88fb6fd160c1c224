import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { MARKER_BYTES_MAX, MarkerFilter, type Piece } from "../../../../actors/executor/docker/markers.ts"
import { Demultiplexer } from "../../../../actors/executor/docker/streams.ts"
import { cut } from "./cut.ts"

const NONCE = "0123456789abcdef0123456789abcdef"
const marker = (words: string) => Buffer.from(`\x1e${NONCE} ${words}\n`)

/** Neighbouring bytes joined, so that only content counts. */
const read = (chunks: readonly Uint8Array[]): { bytes: string; markers: string[]; order: string } => {
  const filter = new MarkerFilter(NONCE)
  const pieces: Piece[] = [...chunks.flatMap((chunk) => filter.push(chunk)), ...filter.flush()]
  const bytes = Buffer.concat(pieces.flatMap((piece) => (piece.kind === "bytes" ? [piece.bytes] : [])))
  const markers = pieces.flatMap((piece) => (piece.kind === "marker" ? [piece.words.join(" ")] : []))
  const order = pieces
    .map((piece) =>
      piece.kind === "bytes" ? Buffer.from(piece.bytes).toString("latin1") : `<${piece.words.join(" ")}>`,
    )
    .join("")
  return { bytes: bytes.toString("latin1"), markers, order }
}

/** Bytes that look like the beginning of a marker more often than chance would have it, and never begin a whole one. */
const bytes = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(
        Buffer.from("\x1e"),
        Buffer.from(`\x1e${NONCE.slice(0, 9)}`),
        Buffer.from(`\x1e${NONCE}`),
        Buffer.from("\n"),
      ),
    ),
  )
  .map((parts) => Buffer.concat(parts))
  .filter((joined) => !joined.includes(`\x1e${NONCE} `))

describe("which bytes are the program's and which are ours? (MK1 to MK3)", () => {
  it("MK1, MK2: markers between any bytes are found, the bytes are exact, however they are cut", () => {
    fc.assert(
      fc.property(
        fc.array(bytes, { minLength: 1, maxLength: 5 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (segments, cuts) => {
          const words = segments.map((_, index) => `word ${index}`)
          const whole = Buffer.concat(segments.flatMap((segment, index) => [segment, marker(words[index] ?? "")]))
          const seen = read(cut(whole, cuts))
          // A segment that ends in a half marker swallows none of the real one that follows.
          expect(seen.markers).toEqual(words)
          expect(seen.bytes).toBe(Buffer.concat(segments).toString("latin1"))
          expect(seen.order).toBe(read([whole]).order)
        },
      ),
      { numRuns: 500 },
    )
  })

  it("MK1: a marker right after output without a newline, and two in a row", () => {
    const seen = read([
      Buffer.concat([Buffer.from("no newline"), marker("begin"), marker("end 1 2"), Buffer.from("x")]),
    ])
    expect(seen.order).toBe("no newline<begin><end 1 2>x")
  })

  it("MK1: another nonce, and a marker without end, are output", () => {
    const other = `\x1e${"f".repeat(32)} end 0\n`
    expect(read([Buffer.from(other)])).toEqual({ bytes: other, markers: [], order: other })
    const endless = `\x1e${NONCE} ${"x".repeat(MARKER_BYTES_MAX)}\n`
    expect(read([Buffer.from(endless)]).bytes).toBe(endless)
    const open = `\x1e${NONCE} begin`
    expect(read([Buffer.from(open)]).bytes).toBe(open)
  })

  it("MK3: no more is held back than a marker is long", () => {
    fc.assert(
      fc.property(bytes, (data) => {
        const filter = new MarkerFilter(NONCE)
        const given = filter
          .push(data)
          .reduce((sum, piece) => sum + (piece.kind === "bytes" ? piece.bytes.length : 0), 0)
        expect(data.length - given).toBeLessThanOrEqual(MARKER_BYTES_MAX)
      }),
    )
  })
})

describe("which stream do bytes belong to? (SM1, SM2)", () => {
  const frame = (stream: number, body: Uint8Array) => {
    const head = Buffer.alloc(8)
    head[0] = stream
    head.writeUInt32BE(body.length, 4)
    return Buffer.concat([head, body])
  }

  it("SM1: frames of any size, cut anywhere, give each stream its bytes in order", () => {
    const frames = fc.array(fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ maxLength: 50 })), { maxLength: 20 })
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 12 }), (list, cuts) => {
        const demultiplexer = new Demultiplexer()
        const parts = cut(Buffer.concat(list.map(([stream, body]) => frame(stream, body))), cuts).flatMap((chunk) =>
          demultiplexer.push(chunk),
        )
        for (const [number, stream] of [
          [1, "stdout"],
          [2, "stderr"],
        ] as const) {
          const got = Buffer.concat(parts.filter((part) => part.stream === stream).map((part) => part.bytes))
          expect(got).toEqual(Buffer.concat(list.filter(([each]) => each === number).map(([, body]) => body)))
        }
        expect(demultiplexer.whole).toBe(true)
      }),
    )
  })

  it("SM2: many small frames in one chunk are one part, and a cut frame is not whole", () => {
    const demultiplexer = new Demultiplexer()
    const many = Buffer.concat(Array.from({ length: 1_000 }, () => frame(1, Buffer.from("x\n"))))
    expect(demultiplexer.push(many)).toEqual([{ stream: "stdout", bytes: Buffer.from("x\n".repeat(1_000)) }])
    demultiplexer.push(frame(2, Buffer.from("abc")).subarray(0, 9))
    expect(demultiplexer.whole).toBe(false)
  })
})
