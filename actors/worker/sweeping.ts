import { Effect, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { ExecutorShape } from "../../core/ports/executor.ts"
import type { Logger } from "../../core/telemetry.ts"
import type { Turns } from "../turns.ts"
import { strays } from "./takeover.ts"
import type { Worker } from "./worker.ts"

const SWEEP_MS = 15_000

export interface SweepingDeps {
  readonly executors: readonly ExecutorShape[]
  readonly turns: Turns["Service"]
  readonly clock: Clock["Service"]
  readonly worker: Worker
  /** Is a worker of another name surely gone? */
  readonly isGone: (worker: string) => Effect.Effect<boolean, BerthError>
  readonly logger: Logger
}

/**
 * Removes, now and then, places of this cluster that the log does not hold. One that this worker may just be making is spared
 * until it was seen in two passes; what a predecessor left has nobody that makes it, and goes in the first.
 */
export const startSweeping = ({
  clock,
  executors,
  isGone,
  logger,
  turns,
  worker,
}: SweepingDeps): Effect.Effect<void, never, Scope.Scope> => {
  let seen = new Set<string>()

  const pass = Effect.gen(function* () {
    const suspects = new Set<string>()
    for (const executor of executors) {
      for (const { containerId, worker: maker } of yield* strays(executor, turns, worker.ownsPlace)) {
        if (maker === worker.name && !seen.has(containerId)) {
          suspects.add(containerId)
          continue
        }
        if (maker !== worker.name && !(yield* isGone(maker))) continue
        yield* executor.remove({ taskId: "", epoch: 0 }, { containerId, imageDigest: null, policy: null })
        logger.info({ containerId, maker }, "stray place removed")
      }
    }
    seen = suspects
  }).pipe(
    Effect.catch((error) => Effect.sync(() => logger.warn({ code: error.code, error: error.message }, "sweep failed"))),
  )

  return Effect.asVoid(Effect.forkScoped(Effect.forever(Effect.andThen(pass, clock.sleep(SWEEP_MS)))))
}
