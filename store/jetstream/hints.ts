import { Effect, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Link } from "./link.ts"
import { fromToken, type Names, toToken } from "./token.ts"

/** "Something may be waiting in this pool": sent after the broker has stored it, so that who looks then finds it. */
export interface Hints {
  readonly tell: (pool: string) => void
  /** How many hints of a pool came so far; read it before looking, so that none falls between looking and waiting. */
  readonly heard: (pool: string) => number
  /** Waits for a hint beyond that count, at most `waitMs`. */
  readonly beyond: (pool: string, count: number, waitMs: number) => Effect.Effect<void>
}

export const openHints = (
  link: Link,
  names: Names,
  clock: Clock["Service"],
): Effect.Effect<Hints, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const prefix = `${names.prefix}hint.`
    const counts = new Map<string, number>()
    const waiting = new Map<string, Set<() => void>>()
    yield* link.listen(`${prefix}*`, ({ subject }) => {
      const pool = fromToken(subject.slice(prefix.length))
      counts.set(pool, (counts.get(pool) ?? 0) + 1)
      for (const wake of [...(waiting.get(pool) ?? [])]) wake()
    })
    const heard = (pool: string): number => counts.get(pool) ?? 0
    return {
      tell: (pool) => link.connection.publish(prefix + toToken(pool)),
      heard,
      beyond: (pool, count, waitMs) =>
        Effect.callback<void>((resume) => {
          if (heard(pool) > count || waitMs <= 0) return resume(Effect.void)
          const those = waiting.get(pool) ?? new Set()
          waiting.set(pool, those)
          const stop = (): void => {
            those.delete(wake)
            cancel()
          }
          const wake = (): void => {
            stop()
            resume(Effect.void)
          }
          const cancel = clock.after(waitMs, wake)
          those.add(wake)
          return Effect.sync(stop)
        }),
    }
  })
