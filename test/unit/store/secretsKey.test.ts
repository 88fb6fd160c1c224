/** The keys of a data directory: where they come from, how they are changed, and what a copy of the directory has of them. */
import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../../core/errors.ts"
import { backup, restore, rotateKey } from "../../../store/sqlite/index.ts"
import { openSecrets } from "../../../store/sqlite/secrets.ts"
import { Keyring } from "../../../store/shared/keyring.ts"
import { codeOf } from "../../support/code.ts"
import { isolate } from "../../support/effect.ts"
import { openStore, temporaryDir } from "../../support/sqlite.ts"

const own = (dataDir: string) => openSecrets(dataDir, { keys: null })
const keyFile = (dataDir: string) => join(dataDir, "secrets.key")

/** A data directory with one secret, closed again. */
const withSecret: Effect.Effect<string, BerthError, Scope.Scope> = Effect.gen(function* () {
  const dataDir = join(yield* temporaryDir, "data")
  yield* Effect.scoped(
    Effect.gen(function* () {
      yield* openStore(dataDir)
      const { secrets } = yield* own(dataDir)
      yield* secrets.set("ann", "TOKEN", "the value")
    }),
  )
  return dataDir
})

const valueIn = (dataDir: string) =>
  Effect.scoped(Effect.flatMap(own(dataDir), ({ secrets }) => secrets.resolve("ann", ["TOKEN"])))

describe("SQ1 the key file", () => {
  it("is made for its owner alone, is kept, and is closed again when somebody opened it", () =>
    isolate(
      Effect.gen(function* () {
        const dataDir = yield* withSecret
        expect(statSync(keyFile(dataDir)).mode & 0o777).toBe(0o600)
        const before = readFileSync(keyFile(dataDir), "utf8")
        chmodSync(keyFile(dataDir), 0o644)
        expect(yield* valueIn(dataDir)).toEqual({ TOKEN: "the value" })
        expect(statSync(keyFile(dataDir)).mode & 0o777).toBe(0o600)
        expect(readFileSync(keyFile(dataDir), "utf8")).toBe(before)
      }),
    ))

  it("is not made anew while there are secrets that it could not open", () =>
    isolate(
      Effect.gen(function* () {
        const dataDir = yield* withSecret
        rmSync(keyFile(dataDir))
        expect(yield* codeOf(own(dataDir))).toBe("SECRET_KEY_WRONG")
        expect(existsSync(keyFile(dataDir))).toBe(false)
      }),
    ))

  it("SQ2 is refused at once when it is another one, or none, and the text is not repeated", () =>
    isolate(
      Effect.gen(function* () {
        const dataDir = yield* withSecret
        writeFileSync(keyFile(dataDir), `${Keyring.newKey()}\n`)
        expect(yield* codeOf(own(dataDir))).toBe("SECRET_KEY_WRONG")
        for (const text of ["", "short", `${Keyring.newKey()} and words`, Array(9).fill(Keyring.newKey()).join("\n")]) {
          writeFileSync(keyFile(dataDir), text)
          const failure = yield* Effect.flip(own(dataDir))
          expect(failure.code).toBe("CONFIG_INVALID")
          if (text !== "") expect(`${failure.message} ${failure.advice}`).not.toContain(text)
        }
      }),
    ))

  it("is not asked when the keys come from outside", () =>
    isolate(
      Effect.gen(function* () {
        const dataDir = join(yield* temporaryDir, "data")
        yield* openStore(dataDir)
        const keys = { text: Keyring.newKey(), source: "BERTH_SECRETS_KEY" }
        const { secrets } = yield* openSecrets(dataDir, { keys })
        yield* secrets.set("ann", "TOKEN", "x")
        expect(existsSync(keyFile(dataDir))).toBe(false)
      }),
    ))
})

describe("RO1 rotation", () => {
  it("seals everything with a new key and forgets the old one", () =>
    isolate(
      Effect.gen(function* () {
        const dataDir = yield* withSecret
        const before = readFileSync(keyFile(dataDir), "utf8").trim()
        expect(yield* rotateKey(dataDir, 0)).toBe(1)
        const after = readFileSync(keyFile(dataDir), "utf8")
        expect(after.trim().split("\n")).toHaveLength(1)
        expect(after).not.toContain(before)
        expect(yield* valueIn(dataDir)).toEqual({ TOKEN: "the value" })
        const old = { text: before, source: "the old key" }
        expect(yield* codeOf(openSecrets(dataDir, { keys: old }))).toBe("SECRET_KEY_WRONG")
      }),
    ))

  it("that was interrupted leaves what opens, and is done by the next one", () =>
    isolate(
      Effect.gen(function* () {
        const dataDir = yield* withSecret
        const before = readFileSync(keyFile(dataDir), "utf8").trim()
        writeFileSync(keyFile(dataDir), `${Keyring.newKey()}\n${before}\n`)
        expect(yield* valueIn(dataDir)).toEqual({ TOKEN: "the value" })
        yield* rotateKey(dataDir, 0)
        expect(readFileSync(keyFile(dataDir), "utf8").trim().split("\n")).toHaveLength(1)
        expect(yield* valueIn(dataDir)).toEqual({ TOKEN: "the value" })
      }),
    ))

  it("is refused while somebody uses the directory, and where there is no key to rotate", () =>
    isolate(
      Effect.gen(function* () {
        const dataDir = yield* withSecret
        const before = readFileSync(keyFile(dataDir), "utf8")
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* openStore(dataDir)
            expect(yield* codeOf(rotateKey(dataDir, 0))).toBe("DATA_DIR_LOCKED")
          }),
        )
        expect(readFileSync(keyFile(dataDir), "utf8")).toBe(before)
        expect(yield* codeOf(rotateKey(join(dataDir, "nothing"), 0))).toBe("NOT_FOUND")
      }),
    ))
})

it("U1 a backup has the secrets and neither of the keys; with the key put back it opens", () =>
  isolate(
    Effect.gen(function* () {
      const dataDir = yield* withSecret
      writeFileSync(join(dataDir, "secret"), "the key of tokens")
      const copy = join(dataDir, "../copy")
      const restored = join(dataDir, "../restored")
      yield* backup(dataDir, copy)
      expect(existsSync(keyFile(copy))).toBe(false)
      expect(existsSync(join(copy, "secret"))).toBe(false)
      yield* restore(copy, restored)
      expect(yield* codeOf(own(restored))).toBe("SECRET_KEY_WRONG")
      copyFileSync(keyFile(dataDir), keyFile(restored))
      expect(yield* valueIn(restored)).toEqual({ TOKEN: "the value" })
    }),
  ))
