/** Start and stop as a contract: whatever is running, as often as one likes, promptly, and with nothing left. */
import { Effect, Exit, Scope } from "effect"
import { expect } from "vitest"
import type { Clock } from "../../core/ports/clock.ts"
import { until } from "./until.ts"

/** Real time whose timers are counted. */
export function countingClock(clock: Clock["Service"]): Clock["Service"] & { readonly armed: () => number } {
  const armed = new Set<symbol>()
  const arm = (): (() => void) => {
    const timer = Symbol("timer")
    armed.add(timer)
    return () => void armed.delete(timer)
  }
  return {
    ...clock,
    sleep: (ms) =>
      Effect.suspend(() => {
        const disarm = arm()
        return Effect.ensuring(clock.sleep(ms), Effect.sync(disarm))
      }),
    after: (ms, callback) => {
      const disarm = arm()
      const cancel = clock.after(ms, () => {
        disarm()
        callback()
      })
      return () => {
        disarm()
        cancel()
      }
    },
    armed: () => armed.size,
  }
}

/**
 * Starts and stops an actor `rounds` times, with `use` in between; each time it is stopped twice, and after each its scope
 * leaves no timer armed.
 */
export async function expectCleanLifecycle<A, E>(options: {
  readonly rounds: number
  readonly clock: { readonly armed: () => number }
  readonly start: (round: number) => Effect.Effect<A, E, Scope.Scope>
  readonly use: (actor: A, round: number) => Promise<void>
  readonly stop: (actor: A) => Effect.Effect<void, E>
}): Promise<void> {
  const { clock, rounds, start, stop, use } = options
  for (let round = 0; round < rounds; round += 1) {
    const scope = Effect.runSync(Scope.make())
    const actor = await Effect.runPromise(Scope.provide(start(round), scope))
    await use(actor, round)
    await Effect.runPromise(stop(actor))
    await Effect.runPromise(stop(actor))
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await until(() => clock.armed() === 0, `round ${round}: a clock without timers (${clock.armed()} are armed)`)
    expect(clock.armed()).toBe(0)
  }
}
