/** Asks a worker, wherever it is, to start nothing more. */
import { Effect } from "effect"
import { type BerthError, berthError } from "../core/errors.ts"
import type { Clock } from "../core/ports/clock.ts"
import { type DrainSignal, type Signals, workerSubject } from "../core/ports/signals.ts"
import type { WorkerInfo, Workers } from "../core/ports/workers.ts"

/** A signal may be lost: it is sent again until the registry shows that it was heard. */
const LOOK_MS = 200
const HEARD_MS_MAX = 10_000

export interface DrainDeps {
  readonly workers: Workers["Service"]
  readonly signals: Signals["Service"]
  readonly clock: Clock["Service"]
}

/**
 * Returns the worker's entry once it says so itself; what runs there goes on to its end. Fails with NOT_FOUND when there is no
 * such worker, and with DEADLINE_EXCEEDED when it does not answer.
 *
 * @param draining - false: it takes work again
 */
export const drainWorker = (
  { clock, signals, workers }: DrainDeps,
  name: string,
  draining: boolean,
): Effect.Effect<WorkerInfo, BerthError> =>
  Effect.suspend(() => {
    const signal: DrainSignal = { type: "drain", draining }
    const untilMonoMs = clock.monoMs() + HEARD_MS_MAX
    const ask: Effect.Effect<WorkerInfo, BerthError> = Effect.gen(function* () {
      const info = (yield* workers.list).find(({ worker }) => worker === name)
      if (info === undefined)
        return yield* Effect.fail(
          berthError("NOT_FOUND", `there is no worker ${name}`, { hint: "See `berth worker ls`." }),
        )
      if (info.draining === draining) return info
      if (clock.monoMs() >= untilMonoMs)
        return yield* Effect.fail(berthError("DEADLINE_EXCEEDED", `worker ${name} does not answer`))
      yield* signals.publish(workerSubject(name), signal)
      yield* clock.sleep(LOOK_MS)
      return yield* ask
    })
    return ask
  })
