import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ArtifactTar, safePath } from "../../../../actors/executor/docker/artifactTar.ts"
import { archive, type Member } from "../../../../actors/executor/docker/feed.ts"
import { LIMITS } from "../../../../core/limits.ts"
import { cut } from "./cut.ts"

const member = (path: string, text: string | Uint8Array): Member => ({
  path,
  bytes: typeof text === "string" ? Buffer.from(text) : text,
  executable: false,
})

const tarOf = (members: readonly Member[]): Buffer => Buffer.concat(archive(members, 1))

const read = (bytes: Uint8Array, places: readonly number[] = []) => {
  const tar = new ArtifactTar()
  const files = cut(bytes, places).flatMap((chunk) => tar.push(chunk))
  return { tar, files, paths: files.map(({ path }) => path) }
}

/** Changes a header and makes its checksum right again, as an attacker would. */
const forged = (bytes: Buffer, change: (header: Buffer) => void): Buffer => {
  const copy = Buffer.from(bytes)
  const header = copy.subarray(0, 512)
  change(header)
  header.fill(" ", 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1")
  return copy
}

describe("what is taken from a hostile archive? (AT1 to AT6)", () => {
  const names = fc.stringMatching(/^[a-z ü]{1,30}(\/[a-z]{1,60}){0,3}$/).filter((name) => safePath(name) === name)

  it("AT6: files come out as they went in, however the archive is cut", () => {
    const files = fc.uniqueArray(fc.tuple(names, fc.uint8Array({ maxLength: 1_500 })), {
      selector: ([name]) => name,
      maxLength: 6,
    })
    fc.assert(
      fc.property(files, fc.array(fc.nat(), { maxLength: 10 }), (list, cuts) => {
        const { files: found, tar } = read(tarOf(list.map(([name, bytes]) => member(`out/${name}`, bytes))), cuts)
        expect(found.map(({ path, bytes }) => [path, Buffer.from(bytes)])).toEqual(
          list.map(([name, bytes]) => [name, Buffer.from(bytes)]),
        )
        expect([tar.whole, tar.notes]).toEqual([true, []])
      }),
      { numRuns: 200 },
    )
  })

  it("AT2, AT4, AT5: no bytes whatever make it throw, or hand out more than the limits", () => {
    const base = tarOf([
      member("out/a", "x".repeat(700)),
      member(`out/${"long".repeat(40)}`, "y"),
      member("out/b/", ""),
    ])
    const edits = fc.array(fc.tuple(fc.nat(base.length - 1), fc.nat(255)), { maxLength: 30 })
    fc.assert(
      fc.property(edits, fc.array(fc.nat(), { maxLength: 5 }), fc.boolean(), (list, cuts, sums) => {
        let bytes: Buffer = Buffer.from(base)
        for (const [at, value] of list) bytes[at] = value
        if (sums) bytes = forged(bytes, () => undefined)
        const { files, tar } = read(bytes, cuts)
        expect(files.length).toBeLessThanOrEqual(LIMITS.artifactEntriesMax)
        expect(files.every((file) => safePath(file.path) === file.path && file.bytes.length <= bytes.length)).toBe(true)
        expect(tar.notes.length).toBeLessThanOrEqual(20)
      }),
      { numRuns: 1_000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4_000 }), (bytes) => {
        expect(read(bytes).files).toEqual([])
      }),
    )
  })

  it.each(["1", "2", "3", "4", "6", "7", "S", "V", "Z"])("AT1: an entry of type %s is left out and named", (type) => {
    const bytes = forged(tarOf([member("out/evil", ""), member("out/good", "g")]), (header) => header.write(type, 156))
    const { paths, tar } = read(bytes)
    expect(paths).toEqual(["good"])
    expect(tar.notes).toEqual([expect.stringContaining("evil")])
  })

  it.each([
    "../x",
    "/etc/passwd",
    "a/../../x",
    "a//b",
    "a/./b",
    "a\nb",
    "a\u001b[31m",
    "a\\b",
    `${"d/".repeat(16)}x`,
    "x".repeat(256),
  ])("AT3: the path %j is refused", (path) => {
    expect(safePath(path)).toBeNull()
    expect(read(tarOf([member(`out/${path}`, "e"), member("out/good", "g")])).paths).toEqual(["good"])
  })

  it("AT2: one more entry, byte or file than allowed is not taken", () => {
    const many = Array.from({ length: LIMITS.artifactEntriesMax + 1 }, (_, index) => member(`out/${index}`, ""))
    const over = read(tarOf(many))
    expect([over.files.length, over.tar.notes.length]).toEqual([LIMITS.artifactEntriesMax, 1])
    const big = read(
      tarOf([
        member("out/big", new Uint8Array(LIMITS.artifactBytesMax + 1)),
        member("out/ok", new Uint8Array(LIMITS.artifactBytesMax)),
      ]),
    )
    expect(big.paths).toEqual(["ok"])
    const five = Array.from({ length: 5 }, (_, index) =>
      member(`out/${index}`, new Uint8Array(LIMITS.artifactBytesMax)),
    )
    expect(read(tarOf(five)).paths).toEqual(["0", "1", "2", "3"])
  })

  it("AT4: a size of a terabyte that is only claimed costs nothing", () => {
    const bytes = forged(tarOf([member("out/sparse", "x")]), (header) => {
      header.fill(0, 124, 136)
      header[124] = 0x80
      header.writeUIntBE(2 ** 40, 130, 6)
    })
    const { files, tar } = read(bytes)
    expect(files).toEqual([])
    expect(tar.notes).toEqual([expect.stringContaining("more than")])
  })

  it("a header whose sum is wrong ends the reading, and says so", () => {
    const bytes = tarOf([member("out/a", "1"), member("out/b", "2")])
    bytes[1_024] = 0x41
    const { paths, tar } = read(bytes)
    expect([paths, tar.notes, tar.whole]).toEqual([["a"], ["the archive is broken"], false])
  })

  it("a path that comes twice is taken once, and pax headers rename nothing", () => {
    const twice = read(tarOf([member("out/a", "1"), member("out/a", "2")]))
    expect([twice.paths, twice.tar.notes.length]).toEqual([["a"], 1])
    const pax = tarOf([member("x", "30 path=../../etc/passwd\n"), member("out/a", "1")])
    expect(read(forged(pax, (header) => header.write("x", 156))).paths).toEqual(["a"])
  })
})
