import { Effect, type Scope } from "effect"
import { asBerthError, type BerthError } from "../core/errors.ts"
import type { Clock } from "../core/ports/clock.ts"
import { RESTART_INTENSITY, supervise } from "../core/policy/supervise.ts"

export interface SupervisedOptions {
  readonly name: string
  readonly clock: Clock["Service"]
  readonly onRestart: (name: string, error: BerthError) => void
}

/**
 * Runs an actor that should never end, and starts it again when it fails or crashes, as core/policy/supervise.ts says.
 * A terminal failure, or too many crashes, end it with that failure: it is the parent's then.
 *
 * @param start - makes a fresh actor; called once per start
 */
export const supervised = (
  start: () => Effect.Effect<never, BerthError>,
  options: SupervisedOptions,
): Effect.Effect<never, BerthError> => {
  let failuresMonoMs: readonly number[] = []
  const again: Effect.Effect<never, BerthError> = Effect.suspend(start).pipe(
    Effect.catchDefect((defect) => Effect.fail(asBerthError(defect))),
    Effect.catch((error) => {
      const isOutage = error.code !== "INTERNAL"
      const failure = { monoMs: options.clock.monoMs(), disposition: error.disposition, isOutage }
      const [directive, recent] = supervise(RESTART_INTENSITY, failuresMonoMs, failure)
      failuresMonoMs = recent
      if (directive.type !== "restart") return Effect.fail(error)
      options.onRestart(options.name, error)
      return Effect.andThen(options.clock.sleep(directive.delayMs), again)
    }),
  )
  return again
}

/** Forks an actor of a node, in the node's scope. */
export type RunForever = (
  name: string,
  start: () => Effect.Effect<never, BerthError>,
) => Effect.Effect<void, never, Scope.Scope>
