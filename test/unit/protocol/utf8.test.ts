import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { fromWireBytes, isWellFormed, toWireBytes, utf8Bytes } from "../../../gateway/protocol/utf8.ts"

const anyText = fc.string({ unit: "binary" })
const anyUnits = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units))

describe("bytes on the wire", () => {
  it("come back exactly, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const back = fromWireBytes(JSON.parse(JSON.stringify(toWireBytes(bytes))))
        expect(back).toEqual(bytes)
      }),
    )
  })

  it("are text exactly when they are valid UTF-8 by themselves", () => {
    fc.assert(
      fc.property(anyText, fc.nat(), (text, cut) => {
        const bytes = new TextEncoder().encode(text)
        expect(toWireBytes(bytes)).toEqual({ data: text, encoding: "utf8" })
        const part = bytes.subarray(0, cut % (bytes.length + 1))
        const isWhole = Buffer.from(Buffer.from(part).toString("utf8")).equals(part)
        expect(toWireBytes(part).encoding).toBe(isWhole ? "utf8" : "base64")
      }),
    )
  })

  it("keep a byte order mark, and a chunk cut inside a character", () => {
    expect(toWireBytes(new Uint8Array([0xef, 0xbb, 0xbf, 0x61]))).toEqual({ data: "\ufeffa", encoding: "utf8" })
    expect(toWireBytes(new Uint8Array([0x61, 0xc3]))).toEqual({ data: "YcM=", encoding: "base64" })
    const long = new Uint8Array(100_000).fill(0xff)
    expect(fromWireBytes(toWireBytes(long))).toEqual(long)
  })

  it("are refused when they claim to be base64 and are not", () => {
    for (const data of ["*", "YQ", "YQ=", "Y=Q=", "YQ==="])
      expect(fromWireBytes({ data, encoding: "base64" })).toBeNull()
  })
})

describe("the length of a text", () => {
  it("is what its UTF-8 form would have, half pairs included", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, anyUnits), (text) => {
        expect(utf8Bytes(text)).toBe(Buffer.byteLength(text, "utf8"))
      }),
    )
  })

  it("tells whole texts from halves", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, anyUnits), (text) => {
        expect(isWellFormed(text)).toBe(Buffer.from(text, "utf8").toString("utf8") === text)
      }),
    )
  })
})
