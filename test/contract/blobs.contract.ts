import { Effect, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import type { Blobs } from "../../core/ports/blobs.ts"
import { codeOf } from "../support/code.ts"
import { isolate } from "../support/effect.ts"

type Service = Blobs["Service"]

export interface BlobsUnderTest {
  readonly blobs: Service
  /** Flips a byte of a stored blob. */
  readonly damage: (key: string) => Effect.Effect<void, BerthError>
  /** From now on there is no room for a large blob; until `makeRoom`. */
  readonly fill: Effect.Effect<void>
  readonly makeRoom: Effect.Effect<void>
}

export interface BlobsTraits {
  readonly name: string
  /** With `bytesMax` of 4 MiB. */
  readonly open: Effect.Effect<BlobsUnderTest, BerthError, Scope.Scope>
  /** Why a guarantee cannot be put to the test here; absent: it can. */
  readonly untestable?: { readonly BL2?: string; readonly BL5?: string }
}

const bytes = (length: number, seed = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + seed) & 255)

/** Compared as a whole: a matcher that goes byte by byte takes seconds for a megabyte. */
const same = (found: Uint8Array | null, wanted: Uint8Array): boolean =>
  found !== null && Buffer.compare(found, wanted) === 0

export const blobsContract = (traits: BlobsTraits): void => {
  describe(`Blobs contract: ${traits.name}`, () => {
    const use =
      (body: (blobs: Service, subject: BlobsUnderTest) => Effect.Effect<void, BerthError, Scope.Scope>) => () =>
        isolate(Effect.flatMap(traits.open, (subject) => body(subject.blobs, subject)))
    const test = (id: "BL2" | "BL5", title: string, run: () => Promise<void>): void => {
      it(`${id} ${title}`, (context) => {
        const reason = traits.untestable?.[id]
        return reason === undefined ? run() : context.skip(reason)
      })
    }

    it(
      "BL1 of puts at once to one key a whole one stays",
      use((blobs) =>
        Effect.gen(function* () {
          const versions = Array.from({ length: 8 }, (_, i) => bytes(100_000, i))
          yield* Effect.all(
            versions.map((version) => blobs.put("t/1/x", version)),
            { concurrency: "unbounded" },
          )
          const stored = yield* blobs.get("t/1/x")
          expect(versions.some((version) => same(stored, version))).toBe(true)
          yield* blobs.put("t/1/x", bytes(3))
          expect(yield* blobs.get("t/1/x")).toEqual(bytes(3))
        }),
      ),
    )

    it(
      "BL2 the bytes that were put come back, and null for an unknown key",
      use((blobs) =>
        Effect.gen(function* () {
          for (const length of [0, 1, 255, 70_000, 300_000]) {
            yield* blobs.put(`t/1/${length}`, bytes(length))
            expect(same(yield* blobs.get(`t/1/${length}`), bytes(length))).toBe(true)
          }
          expect(yield* blobs.get("t/1/unknown")).toBeNull()
          expect(yield* blobs.get("unknown")).toBeNull()
        }),
      ),
    )

    test(
      "BL2",
      "a damaged blob is reported, and its neighbour is readable",
      use((blobs, { damage }) =>
        Effect.gen(function* () {
          yield* blobs.put("t/1/a", bytes(1_000))
          yield* blobs.put("t/1/b", bytes(1_000))
          yield* damage("t/1/a")
          expect(yield* codeOf(blobs.get("t/1/a"))).toBe("STORE_CORRUPT")
          expect(yield* blobs.get("t/1/b")).toEqual(bytes(1_000))
        }),
      ),
    )

    it(
      "BL3 one byte more than `bytesMax` is refused and nothing is stored",
      use((blobs) =>
        Effect.gen(function* () {
          yield* blobs.put("t/1/fits", new Uint8Array(blobs.bytesMax))
          expect((yield* blobs.get("t/1/fits"))?.byteLength).toBe(blobs.bytesMax)
          expect(yield* codeOf(blobs.put("t/1/large", new Uint8Array(blobs.bytesMax + 1)))).toBe("TOO_LARGE")
          expect(yield* blobs.get("t/1/large")).toBeNull()
        }),
      ),
    )

    it(
      "BL4 what is below a prefix goes and nothing else",
      use((blobs) =>
        Effect.gen(function* () {
          const keys = ["a/1/x", "a/1/y/z", "a/10/x", "a/2/x", "ab/1/x", "b/1/x"]
          for (const key of keys) yield* blobs.put(key, bytes(10))
          expect(yield* blobs.list("a/1")).toEqual(["a/1/x", "a/1/y/z"])
          expect(yield* blobs.list("a/1/")).toEqual(["a/1/x", "a/1/y/z"])
          yield* blobs.removePrefix("a/1")
          expect(yield* blobs.list("a")).toEqual(["a/10/x", "a/2/x"])
          yield* blobs.removePrefix("a/")
          yield* blobs.removePrefix("never/was")
          expect(yield* blobs.list("a")).toEqual([])
          expect(yield* blobs.get("ab/1/x")).toEqual(bytes(10))
          expect(yield* blobs.get("b/1/x")).toEqual(bytes(10))
        }),
      ),
    )

    it(
      "BL4 a key may lie below another",
      use((blobs) =>
        Effect.gen(function* () {
          yield* blobs.put("a/b", bytes(1))
          yield* blobs.put("a/b/c", bytes(2))
          expect(yield* blobs.list("a")).toEqual(["a/b", "a/b/c"])
          expect(yield* blobs.list("a/b")).toEqual(["a/b", "a/b/c"])
          yield* blobs.removePrefix("a/b/c")
          expect(yield* blobs.list("a")).toEqual(["a/b"])
        }),
      ),
    )

    test(
      "BL5",
      "a full store refuses, keeps what it has, and goes on once there is room",
      use((blobs, { fill, makeRoom }) =>
        Effect.gen(function* () {
          yield* blobs.put("t/1/old", bytes(1_000))
          yield* fill
          expect(yield* codeOf(blobs.put("t/1/new", bytes(2_000_000)))).toBe("STORAGE_FULL")
          expect(yield* codeOf(blobs.put("t/1/old", bytes(2_000_000)))).toBe("STORAGE_FULL")
          expect(yield* blobs.get("t/1/old")).toEqual(bytes(1_000))
          expect(yield* blobs.get("t/1/new")).toBeNull()
          expect(yield* blobs.list("t")).toEqual(["t/1/old"])
          yield* makeRoom
          yield* blobs.put("t/1/new", bytes(2_000_000))
          expect(yield* blobs.list("t")).toEqual(["t/1/new", "t/1/old"])
        }),
      ),
    )

    it(
      "BL6 a key that is no plain path is refused by every call",
      use((blobs) =>
        Effect.gen(function* () {
          const bad = [
            "",
            "/",
            "a//b",
            "/a",
            "../x",
            "a/../b",
            "a/./b",
            "..",
            "a b",
            "a\\b",
            "a\u0000b",
            "é",
            "a/".repeat(600) + "a",
          ]
          for (const key of bad) {
            expect(yield* codeOf(blobs.put(key, bytes(1)))).toBe("INVALID_PARAMS")
            expect(yield* codeOf(blobs.get(key))).toBe("INVALID_PARAMS")
            expect(yield* codeOf(blobs.removePrefix(key))).toBe("INVALID_PARAMS")
          }
          for (const key of ["a", "A.b_c-1", "..a", "a../b"]) yield* blobs.put(key, bytes(1))
        }),
      ),
    )
  })
}
