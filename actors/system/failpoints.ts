import { Effect, Layer } from "effect"
import { FAILPOINTS, type Failpoint, Failpoints } from "../../core/ports/failpoints.ts"

/** Production: a constant that does nothing. */
export const noFailpoints: Layer.Layer<Failpoints> = Layer.succeed(Failpoints, { hit: () => Effect.void })

/**
 * Crashes this process at the n-th pass through one failpoint, as `kill -9` would.
 *
 * @param armed - `name` or `name:n`, n counted from 1
 */
export function crashingFailpoints(armed: string): Layer.Layer<Failpoints> {
  const [name, count] = armed.split(":")
  if (!FAILPOINTS.includes(name as Failpoint)) throw new Error(`no failpoint is called "${name}"`)
  let passesLeft = Number(count ?? 1)
  return Layer.succeed(Failpoints, {
    hit: (hit) =>
      Effect.sync(() => {
        if (hit !== name) return
        passesLeft -= 1
        if (passesLeft === 0) process.kill(process.pid, "SIGKILL")
      }),
  })
}
