import { Effect, Exit, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import type { Leases } from "../../core/ports/leases.ts"
import { codeOf } from "../support/code.ts"
import { isolate } from "../support/effect.ts"

type Service = Leases["Service"]

export interface LeasesTraits {
  readonly name: string
  readonly open: Effect.Effect<Service, BerthError, Scope.Scope>
  /** Rounds of the race for one lease. */
  readonly rounds: number
}

export const leasesContract = (traits: LeasesTraits): void => {
  describe(`Leases contract: ${traits.name}`, () => {
    const use = (body: (leases: Service) => Effect.Effect<void, BerthError, Scope.Scope>) => () =>
      isolate(Effect.flatMap(traits.open, body))

    it(
      "LE1 a lease that somebody holds cannot be acquired, one that was released or revoked can",
      use((leases) =>
        Effect.gen(function* () {
          const first = yield* leases.acquire("leader", "a", null)
          expect(first).toMatchObject({ name: "leader", holder: "a", revoked: false, data: null })
          expect(yield* codeOf(leases.acquire("leader", "b", null))).toBe("VERSION_CONFLICT")
          yield* leases.release(first)
          const second = yield* leases.acquire("leader", "b", null)
          expect(second.revision).toBeGreaterThan(first.revision)
          const revoked = yield* leases.revoke(second)
          const third = yield* leases.acquire("leader", "c", null)
          expect(third.holder).toBe("c")
          expect(third.revision).toBeGreaterThan(revoked.revision)
        }),
      ),
    )

    it(
      `LE1 of 16 that want it at once one gets it, ${traits.rounds} times over`,
      use((leases) =>
        Effect.gen(function* () {
          for (let round = 0; round < traits.rounds; round++) {
            const wanting = Array.from({ length: 16 }, (_, i) =>
              Effect.exit(leases.acquire("leader", `node${i}`, null)),
            )
            const won = (yield* Effect.all(wanting, { concurrency: "unbounded" })).filter(Exit.isSuccess)
            expect(won).toHaveLength(1)
            for (const { value } of won) yield* leases.release(value)
          }
        }),
      ),
    )

    it(
      "LE2 only the newest revision can be renewed, revoked or released",
      use((leases) =>
        Effect.gen(function* () {
          const first = yield* leases.acquire("w", "a", { held: [] })
          const second = yield* leases.renew(first, { held: ["t1"] })
          expect(second.revision).toBeGreaterThan(first.revision)
          expect(yield* codeOf(leases.renew(first, null))).toBe("VERSION_CONFLICT")
          expect(yield* codeOf(leases.revoke(first))).toBe("VERSION_CONFLICT")
          expect(yield* codeOf(leases.release(first))).toBe("VERSION_CONFLICT")
          expect(yield* leases.read("w")).toEqual(second)
          yield* leases.release(second)
          expect(yield* codeOf(leases.renew(second, null))).toBe("VERSION_CONFLICT")
          expect(yield* codeOf(leases.release(second))).toBe("VERSION_CONFLICT")
        }),
      ),
    )

    it(
      "LE3 a revoked lease cannot be renewed, by its old revision or its new one",
      use((leases) =>
        Effect.gen(function* () {
          const held = yield* leases.acquire("w", "a", { held: ["t1"] })
          const revoked = yield* leases.revoke(held)
          expect(revoked).toMatchObject({ holder: "a", revoked: true, data: { held: ["t1"] } })
          expect(yield* codeOf(leases.renew(held, null))).toBe("VERSION_CONFLICT")
          expect(yield* codeOf(leases.renew(revoked, null))).toBe("VERSION_CONFLICT")
          yield* leases.release(revoked)
          expect(yield* leases.read("w")).toBeNull()
        }),
      ),
    )

    it(
      "LE3 of a renewal and a revocation at once one wins",
      use((leases) =>
        Effect.gen(function* () {
          for (let round = 0; round < 20; round++) {
            const held = yield* leases.acquire(`w${round}`, "a", null)
            const both = [Effect.exit(leases.renew(held, 1)), Effect.exit(leases.revoke(held))]
            const exits = yield* Effect.all(both, { concurrency: "unbounded" })
            expect(exits.filter(Exit.isSuccess)).toHaveLength(1)
          }
        }),
      ),
    )

    it(
      "LE4 a read sees what a change that returned left",
      use((leases) =>
        Effect.gen(function* () {
          expect(yield* leases.read("w")).toBeNull()
          const first = yield* leases.acquire("w", "a", { n: 1 })
          expect(yield* leases.read("w")).toEqual(first)
          const second = yield* leases.renew(first, { n: 2 })
          expect(yield* leases.read("w")).toEqual(second)
          const third = yield* leases.revoke(second)
          expect(yield* leases.read("w")).toEqual(third)
        }),
      ),
    )

    it(
      "LE5 a lease that nobody renews stays: who wants it must revoke it",
      use((leases) =>
        Effect.gen(function* () {
          const held = yield* leases.acquire("w", "a", null)
          yield* Effect.sleep(30)
          expect(yield* leases.read("w")).toEqual(held)
          expect(yield* codeOf(leases.acquire("w", "b", null))).toBe("VERSION_CONFLICT")
        }),
      ),
    )

    it(
      "LE6 lists by prefix, revoked ones too, released ones not",
      use((leases) =>
        Effect.gen(function* () {
          yield* leases.acquire("worker.a", "a", null)
          yield* leases.revoke(yield* leases.acquire("worker.b", "b", null))
          yield* leases.release(yield* leases.acquire("worker.c", "c", null))
          yield* leases.acquire("leader", "a", null)
          const names = (prefix: string) =>
            Effect.map(leases.list(prefix), (found) => found.map((lease) => `${lease.name} ${lease.revoked}`).sort())
          expect(yield* names("worker.")).toEqual(["worker.a false", "worker.b true"])
          expect(yield* names("")).toHaveLength(3)
          expect(yield* names("nobody")).toEqual([])
        }),
      ),
    )
  })
}
