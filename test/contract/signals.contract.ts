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

export const signalsContract = (traits: SignalsTraits): void => {
  describe(`Signals contract: ${traits.name}`, () => {
    const use = (body: (signals: Service) => Effect.Effect<void, BerthError, Scope.Scope>) => () =>
      isolate(Effect.flatMap(traits.open, body))

    it(
      "S1 a signal reaches every subscription of its subject, at most once, and no other",
      use((signals) =>
        Effect.gen(function* () {
          const first: unknown[] = []
          const second: unknown[] = []
          const other: unknown[] = []
          yield* signals.subscribe("worker.a", (payload) => first.push(payload))
          yield* signals.subscribe("worker.a", (payload) => second.push(payload))
          yield* signals.subscribe("worker.b", (payload) => other.push(payload))
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
          const seen: unknown[] = []
          yield* signals.subscribe("s", (received) => seen.push(received))
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
          const seen: unknown[] = []
          yield* signals.subscribe("s", () => {
            throw new Error("broken subscriber")
          })
          yield* signals.subscribe("s", (payload) => seen.push(payload))
          yield* until(signals, "s", 1, () => seen.length > 1)
        }),
      ),
    )

    it(
      "S2 beyond a bound signals are lost, and later ones come again",
      use((signals) =>
        Effect.gen(function* () {
          const seen: unknown[] = []
          yield* signals.subscribe("s", (payload) => seen.push(payload))
          const flood = Array.from({ length: 20_000 }, (_, n) => signals.publish("s", n))
          yield* Effect.all(flood, { concurrency: "unbounded", discard: true })
          yield* until(signals, "s", "after", () => seen.includes("after"))
          expect(seen.length).toBeGreaterThan(0)
        }),
      ),
    )

    it(
      "S3 after its scope has closed a subscription hears nothing",
      use((signals) =>
        Effect.gen(function* () {
          const closed: unknown[] = []
          const open: unknown[] = []
          yield* signals.subscribe("s", (payload) => open.push(payload))
          yield* Effect.scoped(
            Effect.andThen(
              signals.subscribe("s", (payload) => closed.push(payload)),
              until(signals, "s", "during", () => closed.length > 0),
            ),
          )
          const heard = closed.length
          open.length = 0
          yield* until(signals, "s", "after", () => open.includes("after"))
          expect(closed.length).toBe(heard)
        }),
      ),
    )

    it(
      "S3 what was published just before the scope closed is heard before that or never",
      use((signals) =>
        Effect.gen(function* () {
          const closed: unknown[] = []
          const open: unknown[] = []
          yield* signals.subscribe("s", (payload) => open.push(payload))
          yield* Effect.scoped(
            Effect.andThen(
              signals.subscribe("s", (payload) => closed.push(payload)),
              Effect.all(Array.from({ length: 10 }, (_, n) => signals.publish("s", n))),
            ),
          )
          const heard = closed.length
          yield* until(signals, "s", "after", () => open.includes("after"))
          expect(closed.length).toBe(heard)
        }),
      ),
    )
  })
}
