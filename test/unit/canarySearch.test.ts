/** The search for canaries finds what it is there to find. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { verdict } from "../support/canarySearch.ts"

const VALUE = "canary-of-the-search-3e19"
let folder: string
const write = (path: string, bytes: string | Uint8Array): void => {
  mkdirSync(join(folder, path, ".."), { recursive: true })
  writeFileSync(join(folder, path), bytes)
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "berth-search-"))
  write("planted/one", VALUE)
  write("bait/bait", "bait-1")
  write("evidence/data/log", "x bait-1 y")
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe("the search", () => {
  it("is content where there is bait and no canary", () => {
    write("evidence/data/other", `${VALUE.slice(0, -1)} ${VALUE.slice(1)}`)
    expect(verdict(folder)).toEqual([])
  })

  it.each([
    ["plain", `a${VALUE}b`],
    ["after bytes that are no text", Buffer.concat([Uint8Array.of(0, 255, 128), Buffer.from(VALUE)])],
    ["in hex", Buffer.from(VALUE).toString("hex")],
    ["in base64", Buffer.from(VALUE).toString("base64")],
    ["in base64, one byte in", Buffer.from(`{${VALUE}}`).toString("base64")],
    ["in base64, two bytes in", Buffer.from(`{"${VALUE}"}`).toString("base64url")],
    ["as UTF-16", Buffer.from(VALUE, "utf16le")],
  ])("finds a value %s", (_how, bytes) => {
    write("evidence/data/deep/er/file.db-wal", bytes)
    expect(verdict(folder)[0]).toMatch(/^one is in .*file\.db-wal/)
    expect(verdict(folder).join("\n")).not.toContain(VALUE)
  })

  it("finds a value in a file's name", () => {
    write(`evidence/data/${VALUE}.json`, "")
    expect(verdict(folder)).toHaveLength(1)
  })

  it("does not trust itself without bait, or with bait that nobody took", () => {
    write("evidence/data/log", "nothing")
    expect(verdict(folder)).toEqual(["bait should have been found, and was not"])
    rmSync(join(folder, "bait"), { recursive: true })
    expect(verdict(folder)).toHaveLength(1)
  })
})
