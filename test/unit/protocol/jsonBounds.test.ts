import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { boundsError, writePath } from "../../../gateway/protocol/jsonBounds.ts"
import { DOOR } from "../../../gateway/protocol/limits.ts"

const nested = (depth: number): unknown => {
  let value: unknown = 1
  for (let level = 0; level < depth; level++) value = { a: value }
  return value
}
const told = (value: unknown) => {
  const error = boundsError(value)
  return error === null ? null : { code: error.code, path: error.path }
}

describe("what may a message hold?", () => {
  it(`${DOOR.jsonDepthMax} levels, and not one more, wherever they lie`, () => {
    expect(boundsError(nested(DOOR.jsonDepthMax))).toBeNull()
    expect(boundsError(nested(DOOR.jsonDepthMax + 1))?.code).toBe("TOO_LARGE")
    expect(boundsError(nested(DOOR.jsonDepthMax + 1))?.message).toContain(String(DOOR.jsonDepthMax))
    expect(boundsError(JSON.parse("[".repeat(100_000) + "]".repeat(100_000)))?.code).toBe("TOO_LARGE")
  })

  it(`${DOOR.jsonKeysMax} keys of one object, and not one more`, () => {
    const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, at]))
    expect(boundsError({ params: keys(DOOR.jsonKeysMax) })).toBeNull()
    expect(told({ params: keys(DOOR.jsonKeysMax + 1) })).toEqual({ code: "TOO_LARGE", path: "params" })
  })

  it(`${DOOR.jsonValuesMax} values in all, whether in one array or in many`, () => {
    expect(boundsError(Array.from({ length: DOOR.jsonValuesMax - 1 }, () => 0))).toBeNull()
    expect(boundsError(Array.from({ length: DOOR.jsonValuesMax + 1 }, () => 0))?.code).toBe("TOO_LARGE")
    const many = Array.from({ length: 1_000 }, () => Array.from({ length: DOOR.jsonValuesMax / 1_000 }, () => 0))
    expect(boundsError(many)?.code).toBe("TOO_LARGE")
  })

  it(`strings and keys of ${DOOR.stringBytesMax} bytes, and not one more, counted as UTF-8`, () => {
    expect(boundsError({ a: "x".repeat(DOOR.stringBytesMax) })).toBeNull()
    expect(told({ a: "x".repeat(DOOR.stringBytesMax + 1) })).toEqual({ code: "TOO_LARGE", path: "a" })
    expect(told({ a: "é".repeat(DOOR.stringBytesMax / 2 + 1) })).toEqual({ code: "TOO_LARGE", path: "a" })
    expect(boundsError({ ["x".repeat(DOOR.stringBytesMax)]: 1 })).toBeNull()
    const error = boundsError({ ["x".repeat(DOOR.stringBytesMax + 1)]: 1 })
    expect(error?.code).toBe("TOO_LARGE")
    expect(error?.path?.length).toBeLessThan(100)
  })

  it("finite numbers only: 1e400 is none", () => {
    expect(told(JSON.parse('{"params":{"a":[1,1e400]}}'))).toEqual({ code: "INVALID_PARAMS", path: "params.a[1]" })
    expect(told({ a: Number.NaN })).toEqual({ code: "INVALID_PARAMS", path: "a" })
    expect(boundsError({ a: 1.7976931348623157e308, b: -0 })).toBeNull()
  })

  it("no key that would reach a prototype, at any depth", () => {
    for (const key of ["__proto__", "constructor", "prototype"]) {
      expect(boundsError(JSON.parse(`{"params":{"a":[{"${key}":1}]}}`))).toMatchObject({
        code: "INVALID_PARAMS",
        path: `params.a[0].${key}`,
      })
    }
  })

  it("no half of a surrogate pair, which has no UTF-8 form", () => {
    expect(told(JSON.parse('{"a":"\\ud800"}'))).toEqual({ code: "INVALID_PARAMS", path: "a" })
    expect(boundsError(JSON.parse('{"\\udc00":1}'))?.code).toBe("INVALID_PARAMS")
    expect(boundsError(JSON.parse('{"a":"\\ud83d\\ude00"}'))).toBeNull()
  })

  it("nothing that JSON does not have, for callers that send values", () => {
    for (const value of [undefined, 1n, () => 1, Symbol("s")]) {
      expect(told({ a: value })).toEqual({ code: "INVALID_PARAMS", path: "a" })
    }
  })

  it("all JSON within these bounds", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, noUnicodeString: false }), (value) => {
        const text = JSON.stringify(value)
        const error = boundsError(JSON.parse(text))
        const isHostile = /"(__proto__|constructor|prototype)":/.test(text) || /\\ud[89a-f]/.test(text)
        if (!isHostile) expect(error).toBeNull()
      }),
    )
  })
})

describe("how a path is written", () => {
  it("names are joined by dots, positions are in brackets, anything else is quoted and cut", () => {
    expect(writePath(["params", "files", 0, "path"])).toBe("params.files[0].path")
    expect(writePath(["params", "env", "A=\n"])).toBe('params.env["A=\\n"]')
    expect(writePath(["params", `${"x".repeat(200)}!`]).length).toBeLessThan(80)
  })
})
