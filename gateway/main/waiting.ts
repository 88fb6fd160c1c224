/**
 * A node that is started while its broker is away waits for it: brokers and nodes are started in any order, and whoever starts a
 * process again when it ends could do no more than wait, too.
 *
 *   WB1. Only STORE_UNAVAILABLE is waited for. What a person has to put right (an address that is none, an unknown user, a broker
 *        that is too old, a data directory that cannot be written) ends the start at once.
 *   WB2. While it waits its port answers: /health that it lives, /ready that it is not ready and why.
 *   WB3. A wish to stop ends the waiting at once.
 */
import { Effect, Exit, Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Random } from "../../core/ports/random.ts"
import { retryDelayMs } from "../../core/policy/retry.ts"
import type { Logger } from "../../core/telemetry.ts"
import { openWaitingDoor } from "../server/waitingDoor.ts"

const PAUSE = { maxAttempts: Number.MAX_SAFE_INTEGER, delayMsInitial: 500, delayMsMax: 5_000, factor: 2 }
const ROUNDS_COUNTED_MAX = 16

export interface WaitingOptions {
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  readonly logger: Logger
  /** Where the node will listen; null: nowhere. */
  readonly door: { readonly host?: string; readonly port: number } | null
}

/**
 * Opens a node as soon as its broker answers.
 *
 * @param open - one try, that leaves nothing behind when it fails; it must run `free` before it takes the port
 */
export const waitForBroker = <A>(
  { clock, door, logger, random }: WaitingOptions,
  open: (free: Effect.Effect<void>) => Effect.Effect<A, BerthError>,
): Effect.Effect<A, BerthError> =>
  Effect.suspend(() => {
    let trouble = ""
    let opened: Scope.Closeable | null = null
    const free = Effect.suspend(() => {
      const scope = opened
      opened = null
      return scope === null ? Effect.void : Scope.close(scope, Exit.void)
    })
    const answer = Effect.gen(function* () {
      // Of a port that is any free one nobody knows yet.
      if (door === null || door.port === 0 || opened !== null) return
      const scope = yield* Scope.make()
      opened = scope
      yield* Scope.provide(openWaitingDoor({ ...door, trouble: () => trouble }), scope)
    })
    const attempt = (round: number): Effect.Effect<A, BerthError> =>
      Effect.catch(open(free), (error) =>
        Effect.gen(function* () {
          if (error.code !== "STORE_UNAVAILABLE") return yield* Effect.fail(error)
          trouble = `waiting for the broker: ${error.message}`
          logger.warn({ code: error.code, hint: error.advice }, trouble)
          yield* answer
          yield* clock.sleep(retryDelayMs(PAUSE, Math.min(round, ROUNDS_COUNTED_MAX), random.next01()))
          return yield* attempt(round + 1)
        }),
      )
    return Effect.ensuring(attempt(1), free)
  })
