/**
 * A worker's lease: one right to run programs, renewed by compare-and-set for as long as the worker lives.
 *
 *   held ──not renewed in time──▶ fenced ──renewed at its revision──▶ held
 *     └──────── conflict: revoked ───┴───────▶ lost
 *
 *   WL1. Trust ends at `sent + lease − margin` of the last renewal that is known to have succeeded, on this process's own
 *        monotonic clock, whatever request may still be under way.
 *   WL2. A renewal whose answer was lost is recognised by reading: a lease that still names this worker is renewed again at
 *        the revision found; what was read proves nothing by itself, because nobody knows when it was written.
 *   WL3. A lease that is revoked, gone, or somebody else's is lost for ever; its name is never used again.
 *   WL4. What a renewal lists is read when it is sent, so that a task that was taken before is in it.
 */
import { Deferred, Effect } from "effect"
import { type BerthError, berthError } from "../../core/errors.ts"
import { type LeaseTimes, trustedUntilMonoMs } from "../../core/policy/lease.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Lease, Leases } from "../../core/ports/leases.ts"
import { type WorkerLeaseData, workerLeaseName } from "../../core/workerLease.ts"

/** Before a renewal that failed is tried again. */
const RETRY_MS = 200

export interface WorkerLeaseOptions {
  readonly worker: string
  readonly times: LeaseTimes
  readonly leases: Leases["Service"]
  readonly clock: Clock["Service"]
  readonly data: () => WorkerLeaseData
}

export interface WorkerLease {
  /** Must come before anything is started under the worker's name. */
  readonly acquire: Effect.Effect<void, BerthError>
  /** Renews until the lease is lost; then it resolves. */
  readonly keep: Effect.Effect<void>
  /** One renewal now, for what must be known at once. */
  readonly renew: Effect.Effect<void, BerthError>
  readonly lost: Effect.Effect<void>
  /** May programs run? */
  readonly isTrusted: () => boolean
  readonly trustedUntilMonoMs: () => number
  readonly release: Effect.Effect<void, BerthError>
}

export const makeWorkerLease = (options: WorkerLeaseOptions): WorkerLease => {
  const { clock, leases, times } = options
  const name = workerLeaseName(options.worker)
  const lost = Deferred.makeUnsafe<void>()
  let lease: Lease | null = null
  let untilMonoMs = Number.NEGATIVE_INFINITY
  let isLost = false

  const answered = <A>(question: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
    Effect.raceFirst(
      question,
      Effect.andThen(
        clock.sleep(times.answerMs),
        Effect.fail(berthError("DEADLINE_EXCEEDED", `lease ${name} was not answered in time`)),
      ),
    )
  const trust = (renewed: Lease, sentMonoMs: number): void => {
    lease = renewed
    untilMonoMs = Math.max(untilMonoMs, trustedUntilMonoMs(sentMonoMs, times))
  }
  const lose = Effect.suspend(() => {
    isLost = true
    return Effect.asVoid(Deferred.succeed(lost, undefined))
  })
  const isMine = (found: Lease | null): found is Lease =>
    found !== null && !found.revoked && found.holder === options.worker

  const acquire = Effect.gen(function* () {
    const sentMonoMs = clock.monoMs()
    // A first request whose answer was lost is found by the next.
    const found = yield* answered(leases.read(name))
    const mine = isMine(found)
      ? yield* answered(leases.renew(found, options.data()))
      : yield* answered(leases.acquire(name, options.worker, options.data()))
    trust(mine, sentMonoMs)
  })

  /** WL1, WL2. */
  const renew: Effect.Effect<void, BerthError> = Effect.suspend(() => {
    const held = lease
    if (held === null || isLost) return lose
    const sentMonoMs = clock.monoMs()
    return answered(leases.renew(held, options.data())).pipe(
      Effect.map((renewed) => trust(renewed, sentMonoMs)),
      Effect.catch((error) => (error.code === "VERSION_CONFLICT" ? recognise : Effect.fail(error))),
    )
  })
  const recognise = Effect.gen(function* () {
    const found = yield* answered(leases.read(name))
    if (!isMine(found)) return yield* lose
    lease = found
    return yield* renew
  })

  const keep = Effect.gen(function* () {
    while (!isLost) {
      const renewed = yield* Effect.isSuccess(renew)
      if (isLost) return
      yield* clock.sleep(renewed ? times.renewMs : RETRY_MS)
    }
  })

  return {
    acquire,
    keep,
    renew,
    lost: Deferred.await(lost),
    isTrusted: () => !isLost && clock.monoMs() < untilMonoMs,
    trustedUntilMonoMs: () => untilMonoMs,
    release: Effect.suspend(() => (lease === null || isLost ? Effect.void : leases.release(lease))),
  }
}
