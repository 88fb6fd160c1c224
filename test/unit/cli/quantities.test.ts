import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  parseDurationMs,
  parseMomentMs,
  parsePairs,
  parseSizeBytes,
  parseWhole,
  parseWord,
  showBytes,
  showMs,
} from "../../../gateway/cli/quantities.ts"

const usage = (option: string) => expect.objectContaining({ code: "INVALID_PARAMS", path: option })

describe("which durations are understood?", () => {
  it.each([
    ["10s", 10_000],
    ["500ms", 500],
    ["1.5m", 90_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["0", 0],
  ])("%s is %i ms", (text, ms) => {
    expect(parseDurationMs("--timeout", text)).toBe(ms)
  })

  it.each(["", "10", "s", "-1s", "1e3s", "10 s", "10S", "1..5s", "0x1s", "99999999999999999999d", "１s"])(
    "%s is refused",
    (text) => {
      expect(() => parseDurationMs("--timeout", text)).toThrow(usage("--timeout"))
    },
  )
})

describe("which sizes are understood?", () => {
  it.each([
    ["128m", 128 * 1024 ** 2],
    ["1G", 1024 ** 3],
    ["64k", 65_536],
    ["1.5mb", 1.5 * 1024 ** 2],
    ["2MiB", 2 * 1024 ** 2],
    ["1000000", 1_000_000],
  ])("%s is %i bytes", (text, bytes) => {
    expect(parseSizeBytes("--memory", text)).toBe(bytes)
  })

  it.each(["", "m", "-1m", "1t", "1 m", "1e9", "99999999999999g"])("%s is refused", (text) => {
    expect(() => parseSizeBytes("--memory", text)).toThrow(usage("--memory"))
  })
})

describe("the rest of what flags take", () => {
  it("whole numbers within their bounds, and nothing else", () => {
    expect([parseWhole("--limit", "1", 1, 5), parseWhole("--limit", "5", 1, 5)]).toEqual([1, 5])
    for (const text of ["0", "6", "1.0", " 1", "+1", "", "1e0", "NaN", "1".repeat(30)])
      expect(() => parseWhole("--limit", text, 1, 5)).toThrow(usage("--limit"))
  })

  it("one of a list of words", () => {
    expect(parseWord("--lane", "low", ["high", "low"])).toBe("low")
    expect(() => parseWord("--lane", "LOW", ["high", "low"])).toThrow(usage("--lane"))
  })

  it("pairs, whose value may hold anything", () => {
    expect(parsePairs("--env", ["A=1", "B=x=y\n", "C=", "A=2"])).toEqual({ A: "2", B: "x=y\n", C: "" })
    for (const text of ["A", "=1", ""]) expect(() => parsePairs("--env", [text])).toThrow(usage("--env"))
    expect(Object.getPrototypeOf(parsePairs("--env", ["__proto__=1"]))).toBe(Object.prototype)
  })

  it("a moment, as a date or from now", () => {
    expect(parseMomentMs("--start-at", "10s", 1_000)).toBe(11_000)
    expect(parseMomentMs("--start-at", "2030-01-31T09:00:00Z", 0)).toBe(Date.UTC(2030, 0, 31, 9))
    for (const text of ["soon", "9:00", "10", "2030-13-45", ""])
      expect(() => parseMomentMs("--start-at", text, 0)).toThrow(usage("--start-at"))
  })

  it("an error repeats only the beginning of what was given", () => {
    try {
      parseDurationMs("--timeout", "x".repeat(10_000))
      expect.unreachable()
    } catch (cause) {
      expect((cause as Error).message.length).toBeLessThan(200)
    }
  })
})

describe("how quantities are shown", () => {
  it.each([
    [0, "0 ms"],
    [999, "999 ms"],
    [1_234, "1.2 s"],
    [59_949, "59.9 s"],
    [59_950, "1 m 00 s"],
    [184_000, "3 m 04 s"],
    [7_500_000, "2 h 05 m"],
  ])("%i ms as %s", (ms, text) => {
    expect(showMs(ms)).toBe(text)
  })

  it.each([
    [0, "0 B"],
    [512, "512 B"],
    [1_000, "1.0 kB"],
    [34 * 1024 ** 2, "34 MB"],
    [1.5 * 1024 ** 3, "1.5 GB"],
  ])("%i bytes as %s", (bytes, text) => {
    expect(showBytes(bytes)).toBe(text)
  })

  it("every duration that is shown in seconds or below reads back to about itself", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 59_000 }), (ms) => {
        expect(Math.abs(parseDurationMs("x", showMs(ms).replace(" ", "")) - ms)).toBeLessThanOrEqual(50)
      }),
    )
  })
})
