/**
 * The right to lead a cluster, as one node sees it: one lease, changed by compare-and-set alone.
 *
 *   somebody's ──free, or unchanged for lease + grace and then revoked──▶ ours ──renewed in time──▶ ours
 *       ▲                                                                   │ refused, given back, or not renewed in time
 *       └───────────────────────────────────────────────────────────────────┘
 *
 *   LD1. A lease is trusted until `lease − margin` after the moment before its request was sent, on the own monotonic clock.
 *   LD2. Nobody's lease is revoked before the same revision was seen for `lease + grace` on the own monotonic clock. So by then
 *        whoever held it has not trusted it for at least margin + grace.
 *   LD3. After a reply that was lost the stored lease is looked at: one that is ours is ours again once it is renewed.
 *   LD4. Giving back lets the next one in at once: what it finds is a lease that is revoked, by one write. A renewal that was on
 *        its way when the term ended has moved the revision, so one that is ours is looked up and revoked all the same.
 */
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Lease, Leases } from "../../core/ports/leases.ts"

export const LEADER_LEASE = "leader"
/** Of the lease: how much earlier the holder stops trusting it, and how much longer the others wait. */
const MARGIN_PART = 1 / 8
const GRACE_PART = 1 / 8

export interface ElectionDeps {
  readonly leases: Leases["Service"]
  readonly clock: Clock["Service"]
  readonly node: string
  readonly leaseMs: number
}

/** The lease in this node's hands. */
export interface Leadership {
  /** On the monotonic clock; later, this node must not act as the leader (LD1). */
  readonly trustedUntilMonoMs: () => number
  /** Fails with VERSION_CONFLICT when the lease is somebody else's, or nobody's. */
  readonly renew: Effect.Effect<void, BerthError>
  /** Lets the next one in at once; best effort. */
  readonly giveBack: Effect.Effect<void>
}

export interface Election {
  /** Takes the lease where it is free or stale; null: somebody holds it, and is given the time. */
  readonly campaign: Effect.Effect<Leadership | null, BerthError>
}

export function makeElection({ clock, leaseMs, leases, node }: ElectionDeps): Election {
  const trustMs = leaseMs * (1 - MARGIN_PART)
  const staleMs = leaseMs * (1 + GRACE_PART)
  let seen = { revision: -1, sinceMonoMs: 0 }

  const leadershipOf = (first: Lease, firstSentMonoMs: number): Leadership => {
    let lease = first
    let untilMonoMs = firstSentMonoMs + trustMs
    const renewOnce = Effect.gen(function* () {
      const sentMonoMs = clock.monoMs()
      lease = yield* leases.renew(lease, lease.data)
      untilMonoMs = sentMonoMs + trustMs
    })
    /** The lease at a revision that we were not told of, where a conflict came of that; else that conflict. */
    const ownStored = (error: BerthError): Effect.Effect<Lease, BerthError> =>
      Effect.gen(function* () {
        if (error.code !== "VERSION_CONFLICT") return yield* Effect.fail(error)
        const stored = yield* leases.read(LEADER_LEASE)
        if (stored === null || stored.holder !== node || stored.revoked) return yield* Effect.fail(error)
        return stored
      })
    /** LD3: an earlier renewal may have been done without our knowing. */
    const renew = Effect.catch(renewOnce, (error) =>
      Effect.gen(function* () {
        lease = yield* ownStored(error)
        yield* renewOnce
      }),
    )
    return {
      trustedUntilMonoMs: () => untilMonoMs,
      renew,
      giveBack: Effect.suspend(() => leases.revoke(lease)).pipe(
        Effect.catch((error) => Effect.flatMap(ownStored(error), leases.revoke)),
        Effect.ignore,
      ),
    }
  }

  const take = (stored: Lease | null): Effect.Effect<Leadership, BerthError> =>
    Effect.gen(function* () {
      const sentMonoMs = clock.monoMs()
      const mine = stored !== null && stored.holder === node && !stored.revoked
      const lease = yield* mine ? leases.renew(stored, { node }) : leases.acquire(LEADER_LEASE, node, { node })
      return leadershipOf(lease, sentMonoMs)
    })

  const campaign = Effect.gen(function* () {
    const stored = yield* leases.read(LEADER_LEASE)
    if (stored === null || stored.revoked || stored.holder === node) return yield* take(stored)
    const nowMonoMs = clock.monoMs()
    if (stored.revision !== seen.revision) seen = { revision: stored.revision, sinceMonoMs: nowMonoMs }
    // LD2
    if (nowMonoMs - seen.sinceMonoMs < staleMs) return null
    return yield* take(yield* leases.revoke(stored))
  })

  return {
    // Of several who revoke or acquire at once one wins; for the others it is somebody's lease.
    campaign: Effect.catch(campaign, (error) =>
      error.code === "VERSION_CONFLICT" ? Effect.succeed(null) : Effect.fail(error),
    ),
  }
}

/** What ends a term that was not lost to anybody: the lease could not be renewed in time. */
export const notRenewed = (): BerthError =>
  berthError("STORE_UNAVAILABLE", "the leader's lease was not renewed in time", {
    hint: "Another node leads, or this one again, as soon as the store answers.",
  })
