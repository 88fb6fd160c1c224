import { Effect, Result, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import type { Secrets } from "../../core/ports/secrets.ts"
import { Keyring } from "../../store/shared/keyring.ts"
import { codeOf } from "../support/code.ts"
import { isolate } from "../support/effect.ts"

type Service = Secrets["Service"]
type Answer<A> = Effect.Effect<A, BerthError, Scope.Scope>

export interface SecretsUnderTest {
  /** The store with these keys, beside whoever has it open already. Fails as a start with these keys would. */
  readonly withKeys: (keys: string) => Answer<Service>
  /** The same after a crash of everything that can crash. */
  readonly reopen: (keys: string) => Answer<Service>
  /** Everything that is kept, byte for byte. */
  readonly kept: Answer<Uint8Array>
  /** Puts one secret's sealed value in another's place. */
  readonly move: (from: readonly [string, string], to: readonly [string, string]) => Answer<void>
  /** Flips the last bit of a sealed value. */
  readonly damage: (owner: string, name: string) => Answer<void>
}

export interface SecretsTraits {
  readonly name: string
  readonly open: Effect.Effect<SecretsUnderTest, BerthError, Scope.Scope>
  /** An owner's secrets are counted up to their limit; each is a write. */
  readonly patienceMs?: number
}

const KEYS = Keyring.newKey()
const VALUE = "canary-of-the-contract-7c31"
const messageOf = (effect: Answer<unknown>) =>
  Effect.map(Effect.result(effect), (result) => (Result.isFailure(result) ? result.failure.message : "no failure"))

export const secretsContract = (traits: SecretsTraits): void => {
  describe(`Secrets contract: ${traits.name}`, () => {
    const use = (body: (secrets: Service, subject: SecretsUnderTest) => Answer<void>) => () =>
      isolate(
        Effect.flatMap(traits.open, (subject) =>
          Effect.flatMap(subject.withKeys(KEYS), (secrets) => body(secrets, subject)),
        ),
      )

    it(
      "SE1 what was set is there after a crash, the later value in the earlier one's place; remove tells",
      use((secrets, { reopen }) =>
        Effect.gen(function* () {
          yield* secrets.set("ann", "TOKEN", "first")
          yield* secrets.set("ann", "TOKEN", "second")
          yield* secrets.set("ann", "GONE", "x")
          expect(yield* secrets.remove("ann", "GONE")).toBe(true)
          expect(yield* secrets.remove("ann", "GONE")).toBe(false)
          expect(yield* secrets.remove("nobody", "TOKEN")).toBe(false)
          const again = yield* reopen(KEYS)
          expect(yield* again.resolve("ann", ["TOKEN"])).toEqual({ TOKEN: "second" })
          expect(yield* again.list("ann")).toEqual(["TOKEN"])
        }),
      ),
    )

    it(
      "SE2 values come back exactly, and what is missing is named without a value",
      use((secrets) =>
        Effect.gen(function* () {
          const odd = "line\nwith 'quotes' $(x) \\ and é 🚢\n"
          yield* secrets.set("ann", "ODD", odd)
          yield* secrets.set("ann", "BIG", "b".repeat(LIMITS.secretBytesMax))
          expect(yield* secrets.resolve("ann", ["ODD", "BIG"])).toEqual({
            ODD: odd,
            BIG: "b".repeat(LIMITS.secretBytesMax),
          })
          expect(yield* secrets.resolve("ann", [])).toEqual({})
          const asked = secrets.resolve("ann", ["MISSING", "ODD", "ALSO"])
          expect(yield* codeOf(asked)).toBe("SECRET_UNKNOWN")
          expect(yield* messageOf(asked)).toBe("there is no secret MISSING, ALSO")
        }),
      ),
    )

    it(
      "SE3 another owner's secret of the same name is another secret",
      use((secrets) =>
        Effect.gen(function* () {
          // Owners that run together if they are put together carelessly.
          const owners = ["ann", "an", "ann/..", "Ann", "é*>.", '","', "ann-TOKEN"]
          for (const owner of owners) yield* secrets.set(owner, "TOKEN", `of ${owner}`)
          for (const owner of owners) {
            expect(yield* secrets.resolve(owner, ["TOKEN"])).toEqual({ TOKEN: `of ${owner}` })
            expect(yield* secrets.list(owner)).toEqual(["TOKEN"])
          }
          yield* secrets.remove("an", "TOKEN")
          expect(yield* codeOf(secrets.resolve("an", ["TOKEN"]))).toBe("SECRET_UNKNOWN")
          expect(yield* secrets.resolve("ann", ["TOKEN"])).toEqual({ TOKEN: "of ann" })
        }),
      ),
    )

    it(
      "SE4 nothing of a value can be read where it is kept, and equal values look different",
      use((secrets, { kept }) =>
        Effect.gen(function* () {
          yield* secrets.set("ann", "ONE", VALUE)
          const before = Buffer.from(yield* kept)
          yield* secrets.set("ann", "ONE", VALUE)
          const after = Buffer.from(yield* kept)
          expect(before.includes("ONE")).toBe(true)
          expect(before.equals(after)).toBe(false)
          for (const bytes of [before, after])
            for (const form of [VALUE, Buffer.from(VALUE).toString("base64"), Buffer.from(VALUE).toString("hex")])
              expect(bytes.includes(form)).toBe(false)
        }),
      ),
    )

    it(
      "SE4 what was moved to another name or owner, or damaged, is told and never opened",
      use((secrets, { damage, move }) =>
        Effect.gen(function* () {
          for (const name of ["A", "B", "C"]) yield* secrets.set("ann", name, VALUE)
          yield* secrets.set("bob", "A", "bob's own")
          yield* move(["ann", "A"], ["ann", "B"])
          yield* move(["ann", "A"], ["bob", "A"])
          yield* damage("ann", "C")
          const opened = [secrets.resolve("ann", ["B"]), secrets.resolve("bob", ["A"]), secrets.resolve("ann", ["C"])]
          for (const asked of opened) {
            expect(yield* codeOf(asked)).toBe("STORE_CORRUPT")
            expect(yield* messageOf(asked)).not.toContain(VALUE)
          }
          expect(yield* secrets.resolve("ann", ["A"])).toEqual({ A: VALUE })
        }),
      ),
    )

    it(
      "SE5 names are listed in order",
      use((secrets) =>
        Effect.gen(function* () {
          for (const name of ["b", "_x", "C", "a1"]) yield* secrets.set("ann", name, VALUE)
          expect(yield* secrets.list("ann")).toEqual(["C", "_x", "a1", "b"])
          expect(yield* secrets.list("bob")).toEqual([])
        }),
      ),
    )

    it(
      "SE6 what is out of bounds is refused and nothing is stored",
      use((secrets) =>
        Effect.gen(function* () {
          const names = ["", "1A", "A-B", "A B", "A=B", "é", "../x", "A\0", "PPID", "A".repeat(129)]
          for (const name of names) expect(yield* codeOf(secrets.set("ann", name, VALUE)), name).toBe("INVALID_PARAMS")
          const values = [
            "",
            `${VALUE}\0`,
            "x".repeat(LIMITS.secretBytesMax + 1),
            "é".repeat(LIMITS.secretBytesMax / 2 + 1),
          ]
          for (const value of values) {
            expect(yield* codeOf(secrets.set("ann", "A", value))).toBe("INVALID_PARAMS")
            expect(yield* messageOf(secrets.set("ann", "A", value))).not.toContain(VALUE)
          }
          expect(yield* secrets.list("ann")).toEqual([])
        }),
      ),
    )

    it(
      "SE6 an owner has so many secrets and no more; one that is there can still be replaced",
      use((secrets) =>
        Effect.gen(function* () {
          const names = Array.from({ length: LIMITS.secretsMax - 1 }, (_, index) => `S${index}`)
          for (const name of names) yield* secrets.set("ann", name, "x")
          const two = yield* Effect.all(
            [Effect.result(secrets.set("ann", "LAST", "x")), Effect.result(secrets.set("ann", "MORE", "x"))],
            { concurrency: 2 },
          )
          expect(two.filter(Result.isFailure).map(({ failure }) => failure.code)).toEqual(["TOO_MANY"])
          expect(yield* secrets.list("ann")).toHaveLength(LIMITS.secretsMax)
          yield* secrets.set("ann", "S0", "another")
          yield* secrets.set("bob", "S0", "x")
          expect(yield* secrets.resolve("ann", ["S0"])).toEqual({ S0: "another" })
        }),
      ),
      traits.patienceMs,
    )

    it(
      "SE7 without the key that sealed it nothing opens, and the start says so",
      use((secrets, { reopen, withKeys }) =>
        Effect.gen(function* () {
          const other = yield* withKeys(Keyring.newKey())
          yield* secrets.set("ann", "TOKEN", VALUE)
          expect(yield* codeOf(other.resolve("ann", ["TOKEN"]))).toBe("SECRET_KEY_WRONG")
          expect(yield* codeOf(other.reseal)).toBe("SECRET_KEY_WRONG")
          expect(yield* codeOf(Effect.flatMap(reopen(Keyring.newKey()), (late) => late.reseal))).toBe(
            "SECRET_KEY_WRONG",
          )
          expect(yield* (yield* reopen(KEYS)).resolve("ann", ["TOKEN"])).toEqual({ TOKEN: VALUE })
        }),
      ),
    )

    it(
      "SE8 with a new key in the first place everything opens, and after reseal it is all that is needed",
      use((secrets, { damage, reopen, withKeys }) =>
        Effect.gen(function* () {
          for (const name of ["A", "B", "BROKEN"]) yield* secrets.set("ann", name, `${VALUE} ${name}`)
          yield* damage("ann", "BROKEN")
          const fresh = Keyring.newKey()
          // A node that has the keys in the other order still opens everything, and what it sets is sealed anew later.
          const late = yield* withKeys(`${KEYS},${fresh}`)
          const both = yield* withKeys(`${fresh}\n${KEYS}\n`)
          yield* late.set("bob", "LATE", VALUE)
          expect(yield* both.resolve("ann", ["A"])).toEqual({ A: `${VALUE} A` })
          expect(yield* both.reseal).toBe(1)
          expect(yield* both.reseal).toBe(0)
          yield* both.remove("ann", "BROKEN")
          const alone = yield* reopen(fresh)
          expect(yield* alone.resolve("ann", ["A", "B"])).toEqual({ A: `${VALUE} A`, B: `${VALUE} B` })
          expect(yield* alone.resolve("bob", ["LATE"])).toEqual({ LATE: VALUE })
        }),
      ),
    )
  })
}
