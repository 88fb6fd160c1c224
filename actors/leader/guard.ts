/**
 * Starts what exists once in a cluster when this node becomes the leader, and ends it when it is not any more.
 *
 *   waiting ──near the head──▶ campaigning ──lease taken──▶ leading: one fresh term, renewals, the end of trust
 *      ▲                            │ held by another          │ whichever ends first ends all three
 *      └────────── a pause ◀────────┴──────────────────────────┘
 *
 *   GU1. A term runs only while the lease is trusted; its end is awaited before anything else is done.
 *   GU2. Only a node in no trouble, whose read model is near the head, campaigns; one whose read model stands still leads no longer.
 *   GU3. Whatever goes wrong, the guard goes on; pauses after failures grow, with full jitter, so that another may be luckier.
 *   GU4. Handing over ends the term first, and then gives the lease back, so that nobody leads beside it; it does not campaign again.
 */
import { Deferred, Effect, Latch } from "effect"
import { asBerthError, type BerthError, berthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Random } from "../../core/ports/random.ts"
import { LEADER_SUBJECT, type Signals } from "../../core/ports/signals.ts"
import { retryDelayMs } from "../../core/policy/retry.ts"
import type { Logger } from "../../core/telemetry.ts"
import { type Election, type Leadership, notRenewed } from "./election.ts"

/** Of the lease: between two renewals, and between two looks at somebody else's. */
const RENEW_PART = 1 / 4
const LOOK_PART = 1 / 16
const PAUSE = { maxAttempts: Number.MAX_SAFE_INTEGER, delayMsInitial: 200, delayMsMax: 5_000, factor: 2 }
/** A term that lasted so long was no failure to begin with. */
const STEADY_MS = 30_000
/** Giving back must not keep a node that stops while the store is away. */
const GIVE_BACK_MS_MAX = 1_000

export interface GuardDeps {
  readonly election: Election
  readonly leaseMs: number
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  readonly signals: Signals["Service"]
  readonly logger: Logger
  /** GU2: null when this node may lead. */
  readonly trouble: () => string | null
  /** GU2: this node does not learn what happens any more. */
  readonly isStuck: () => boolean
  /** One term, until it fails. */
  readonly term: () => Effect.Effect<never, BerthError>
  readonly onTerm: () => void
}

export interface Guard {
  readonly run: Effect.Effect<never, BerthError>
  readonly isLeading: () => boolean
  /** Ends the term, if one runs, and lets another node lead at once. Idempotent. */
  readonly handOver: Effect.Effect<void>
}

export function makeGuard(deps: GuardDeps): Guard {
  const { clock, election, leaseMs, logger, random, signals } = deps
  const over = Deferred.makeUnsafe<void>()
  const handedOver = Deferred.makeUnsafe<void>()
  const freed = Latch.makeUnsafe(false)
  let leading = false
  let running = false
  let failures = 0

  const renewForever = (leadership: Leadership): Effect.Effect<never, BerthError> =>
    Effect.forever(
      Effect.andThen(
        clock.sleep(leaseMs * RENEW_PART),
        Effect.catch(leadership.renew, (error) =>
          error.code === "VERSION_CONFLICT" ? Effect.fail(error) : Effect.void,
        ),
      ),
    )
  const trustEnds = (leadership: Leadership): Effect.Effect<never, BerthError> =>
    Effect.suspend(() => {
      const leftMs = leadership.trustedUntilMonoMs() - clock.monoMs()
      if (leftMs <= 0) return Effect.fail(notRenewed())
      return Effect.andThen(clock.sleep(Math.ceil(leftMs)), trustEnds(leadership))
    })

  const standsStill: Effect.Effect<never, BerthError> = Effect.suspend(() =>
    deps.isStuck()
      ? Effect.fail(berthError("STORE_UNAVAILABLE", "the read model of this node stands still"))
      : Effect.andThen(clock.sleep(leaseMs * RENEW_PART), standsStill),
  )

  const giveBack = (leadership: Leadership): Effect.Effect<void> =>
    Effect.raceFirst(
      Effect.andThen(leadership.giveBack, Effect.ignore(signals.publish(LEADER_SUBJECT, {}))),
      clock.sleep(GIVE_BACK_MS_MAX),
    )

  /** GU1, GU4: a race has ended when all that ran in it has. */
  const lead = (leadership: Leadership): Effect.Effect<never, BerthError> =>
    Effect.suspend(() => {
      leading = true
      deps.onTerm()
      const beganMonoMs = clock.monoMs()
      logger.info({}, "this node leads")
      const term = [Effect.suspend(deps.term), renewForever(leadership), trustEnds(leadership), standsStill]
      return Effect.ensuring(
        Effect.raceAllFirst(term),
        Effect.suspend(() => {
          leading = false
          if (clock.monoMs() - beganMonoMs > STEADY_MS) failures = 0
          logger.info({}, "this node leads no longer")
          return giveBack(leadership)
        }),
      )
    })

  const paused = (error: BerthError): Effect.Effect<void> =>
    Effect.suspend(() => {
      failures += 1
      logger.warn({ code: error.code, error: error.message }, "this node does not lead")
      return clock.sleep(retryDelayMs(PAUSE, Math.min(failures, 16), random.next01()))
    })

  const round = Effect.gen(function* () {
    if (deps.trouble() !== null) return yield* clock.sleep(leaseMs * LOOK_PART)
    freed.closeUnsafe()
    const leadership = yield* election.campaign
    if (leadership !== null) return yield* lead(leadership)
    yield* Effect.raceFirst(freed.await, clock.sleep(leaseMs * LOOK_PART))
  }).pipe(
    Effect.catchDefect((defect) => Effect.fail(asBerthError(defect))),
    Effect.catch((error) => paused(error)),
  )

  const run = Effect.gen(function* () {
    yield* signals.subscribe(LEADER_SUBJECT, () => void freed.openUnsafe())
    running = true
    yield* Effect.raceFirst(Effect.forever(round), Deferred.await(over)).pipe(
      Effect.ensuring(Deferred.succeed(handedOver, undefined)),
    )
    return yield* Effect.never
  }).pipe(Effect.scoped)

  return {
    run,
    isLeading: () => leading,
    handOver: Effect.suspend(() =>
      Effect.andThen(Deferred.succeed(over, undefined), running ? Deferred.await(handedOver) : Effect.void),
    ),
  }
}
