import { Effect, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import type { Signals } from "../../core/ports/signals.ts"
import { isolate } from "../support/effect.ts"

type Service = Signals["Service"]

export interface SignalsTraits {
  readonly name: string
  readonly open: Effect.Effect<Service, BerthError, Scope.Scope>
}

/** Publishes again and again until `done`: a signal may be lost, so the test goes on until one was not. */
const until = (
  signals: Service,
  subject: string,
  payload: unknown,
  done: () => boolean,
): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    while (!done()) {
      yield* signals.publish(subject, payload)
      yield* Effect.sleep(1)
    }
  })

/** Subscribes until the scope closes; gives what was heard so far. */
const heardOn = (signals: Service, subject: string): Effect.Effect<unknown[], BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const heard: unknown[] = []
    yield* signals.subscribe(subject, (payload) => heard.push(payload))
    return heard
  })

/** After a subscription that ended with its scope: an open one hears what comes, the ended one does not. */
const endsWithItsScope = (
  signals: Service,
  during: (heard: readonly unknown[]) => Effect.Effect<unknown, BerthError>,
): Effect.Effect<void, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const open = yield* heardOn(signals, "s")
    const closed = yield* Effect.scoped(Effect.tap(heardOn(signals, "s"), during))
    const count = closed.length
    yield* until(signals, "s", "after", () => open.includes("after"))
    expect(closed.length).toBe(count)
  })

export const signalsContract = (traits: SignalsTraits): void => {
  describe(`Signals contract: ${traits.name}`, () => {
    const use = (body: (signals: Service) => Effect.Effect<void, BerthError, Scope.Scope>) => () =>
      isolate(Effect.flatMap(traits.open, body))

    it(
      "S1 a signal reaches every subscription of its subject, at most once, and no other",
      use((signals) =>
        Effect.gen(function* () {
          const first = yield* heardOn(signals, "worker.a")
          const second = yield* heardOn(signals, "worker.a")
          const other = yield* heardOn(signals, "worker.b")
          for (let n = 0; n < 20; n++) yield* signals.publish("worker.a", { n })
          yield* until(signals, "worker.a", "end", () => first.includes("end") && second.includes("end"))
          for (const seen of [first, second]) {
            const numbers = seen.filter((payload) => payload !== "end").map((payload) => (payload as { n: number }).n)
            expect(new Set(numbers).size).toBe(numbers.length)
            expect(numbers.length).toBeGreaterThan(0)
          }
          expect(other).toEqual([])
        }),
      ),
    )

    it(
      "S1 a payload arrives equal, bytes and all, and is the receiver's own",
      use((signals) =>
        Effect.gen(function* () {
          const payload = {
            text: "é\u0000😀",
            bytes: new Uint8Array([0, 255, 7]),
            list: [1, null, { deep: new Uint8Array(0) }],
            ok: true,
          }
          const seen = yield* heardOn(signals, "s")
          yield* until(signals, "s", payload, () => seen.length > 0)
          expect(seen[0]).toEqual(payload)
          expect(seen[0]).not.toBe(payload)
        }),
      ),
    )

    it(
      "S2 a subscriber that fails disturbs neither the publisher nor the others",
      use((signals) =>
        Effect.gen(function* () {
          yield* signals.subscribe("s", () => {
            throw new Error("broken subscriber")
          })
          const seen = yield* heardOn(signals, "s")
          yield* until(signals, "s", 1, () => seen.length > 1)
        }),
      ),
    )

    it(
      "S2 beyond a bound signals are lost, and later ones come again",
      use((signals) =>
        Effect.gen(function* () {
          const seen = yield* heardOn(signals, "s")
          const flood = Array.from({ length: 20_000 }, (_, n) => signals.publish("s", n))
          yield* Effect.all(flood, { concurrency: "unbounded", discard: true })
          yield* until(signals, "s", "after", () => seen.includes("after"))
          expect(seen.length).toBeGreaterThan(0)
        }),
      ),
    )

    it(
      "S3 after its scope has closed a subscription hears nothing",
      use((signals) => endsWithItsScope(signals, (heard) => until(signals, "s", "during", () => heard.length > 0))),
    )

    it(
      "S3 what was published just before the scope closed is heard before that or never",
      use((signals) =>
        endsWithItsScope(signals, () => Effect.all(Array.from({ length: 10 }, (_, n) => signals.publish("s", n)))),
      ),
    )
  })
}
