import { Effect, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import type { WorkerInfo, Workers } from "../../core/ports/workers.ts"
import { isolate } from "../support/effect.ts"

export interface WorkersTraits {
  readonly name: string
  readonly open: Effect.Effect<Workers["Service"], BerthError, Scope.Scope>
}

const info = (worker: string, more: Partial<WorkerInfo> = {}): WorkerInfo => ({
  worker,
  host: "host1",
  engineId: null,
  pool: "default",
  slots: 4,
  kinds: ["runtime"],
  held: 0,
  kindsUnavailable: ["image"],
  handlers: [],
  isolations: ["runc"],
  labels: { zone: "a" },
  draining: false,
  accepting: true,
  version: "0.1.0",
  startedAtMs: 1,
  ...more,
})

export const workersContract = (traits: WorkersTraits): void => {
  describe(`Workers contract: ${traits.name}`, () => {
    const use = (body: (workers: Workers["Service"]) => Effect.Effect<void, BerthError, Scope.Scope>) => () =>
      isolate(Effect.flatMap(traits.open, body))

    it(
      "W1 an entry replaces the worker's own, and a list sees every put that returned",
      use((workers) =>
        Effect.gen(function* () {
          expect(yield* workers.list).toEqual([])
          yield* workers.put(info("a"))
          yield* workers.put(info("b"))
          yield* workers.put(info("a", { draining: true, slots: 0 }))
          const list = [...(yield* workers.list)].sort((x, y) => (x.worker < y.worker ? -1 : 1))
          expect(list).toEqual([info("a", { draining: true, slots: 0 }), info("b")])
        }),
      ),
    )

    it(
      "W2 a removed worker is gone, and removing it again is no error",
      use((workers) =>
        Effect.gen(function* () {
          yield* workers.put(info("a"))
          yield* workers.put(info("b"))
          yield* workers.remove("a")
          yield* workers.remove("a")
          yield* workers.remove("never")
          expect((yield* workers.list).map((worker) => worker.worker)).toEqual(["b"])
        }),
      ),
    )
  })
}
