/**
 * Raises the level that a cluster's records are written at, once everybody can read the next one.
 *
 *   LV1. It is raised by a record on `control`, under the term's compare-and-set: what comes before it in the log is of the old level.
 *   LV2. It is raised to what all nodes read, and that only when nobody who reads less was seen for a whole lease of nodes, nor
 *        since the term began: who is just being started again, in the older version too, is not locked out.
 *   LV3. Who has not renewed its lease for as long as that lease says is counted out: its lease goes. No time counts in which
 *        nobody looked.
 */
import { Effect } from "effect"
import type { Config } from "../../core/config.ts"
import type { BerthError } from "../../core/errors.ts"
import { NODE_LEASES, nodeLeaseData, nodeLeaseMs } from "../../core/nodeLease.ts"
import { LeaseSightings } from "../../core/policy/lease.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import type { Lease, Leases } from "../../core/ports/leases.ts"
import { RECORD_LEVEL_MAX } from "../../core/recordLevel.ts"
import type { Dispatcher } from "./dispatcher.ts"

const LOOKS_PER_LEASE = 10
/** Looks that lie further apart than this part of a lease say nothing of the time in between. */
const LOOKS_MISSED_PART = 3

export interface LevelWatchDeps {
  readonly config: Config
  readonly log: EventLog["Service"]
  readonly clock: Clock["Service"]
  readonly onLevel: (level: number) => void
}

export interface LevelWatch {
  readonly pass: Effect.Effect<void, BerthError>
  readonly run: Effect.Effect<never, BerthError>
}

export const makeLevelWatch = (
  { clock, config, log, onLevel, raiseLevel }: LevelWatchDeps & Pick<Dispatcher, "raiseLevel">,
  leases: Leases["Service"],
): LevelWatch => {
  const leaseMs = nodeLeaseMs(config.leaseMs)
  const sightings = new LeaseSightings()
  let lookedMonoMs = Number.NEGATIVE_INFINITY
  /** What all read, and since when that has been so, look after look (LV2). */
  let agreed = { level: 0, sinceMonoMs: 0 }

  /** LV3. */
  const countOut = (all: readonly Lease[]): Effect.Effect<readonly Lease[]> =>
    Effect.gen(function* () {
      const there: Lease[] = []
      for (const lease of all) {
        const isSilent = sightings.unchangedMs(lease, clock.monoMs()) >= nodeLeaseData(lease).leaseMs
        if (!isSilent || (yield* Effect.isFailure(leases.release(lease)))) there.push(lease)
      }
      sightings.keepOnly(new Set(there.map(({ name }) => name)))
      return there
    })

  const pass = Effect.gen(function* () {
    const all = yield* leases.list(NODE_LEASES)
    const nowMonoMs = clock.monoMs()
    if (nowMonoMs - lookedMonoMs > leaseMs / LOOKS_MISSED_PART) {
      sightings.reset()
      agreed = { level: 0, sinceMonoMs: nowMonoMs }
    }
    lookedMonoMs = nowMonoMs
    const there = yield* countOut(all)
    const level = Math.min(RECORD_LEVEL_MAX, ...there.map((lease) => nodeLeaseData(lease).level))
    if (level !== agreed.level) agreed = { level, sinceMonoMs: nowMonoMs }
    if (level <= log.level() || nowMonoMs - agreed.sinceMonoMs < leaseMs) return
    yield* raiseLevel(level)
    if (log.level() === level) onLevel(level)
  })

  return {
    pass,
    run: Effect.forever(
      pass.pipe(
        // A store that is away raises nothing; another leader's record ends this term.
        Effect.catch((error) =>
          error.retryable && error.code !== "VERSION_CONFLICT" ? Effect.void : Effect.fail(error),
        ),
        Effect.andThen(clock.sleep(leaseMs / LOOKS_PER_LEASE)),
      ),
    ),
  }
}
