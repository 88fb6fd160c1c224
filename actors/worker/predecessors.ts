/**
 * What a new worker of a cluster does about workers of its engines that are gone: it says that it settles them, takes their
 * right away, adopts what runs, and leaves the rest to the leader.
 *
 *   PD1. Gone is who was revoked, who left its containers and said so, and whose process is surely not there any more; and only
 *        who left nothing on an engine that is not this worker's: whoever comes to that one adopts, and must not come too late.
 *   PD2. The claim is in this worker's own lease before another's is revoked, so that the leader does not lose what is being
 *        adopted; it counts only as long as this worker lives.
 *   PD3. Afterwards the old lease is released: whatever still names that worker has nobody, and is the leader's.
 */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Lease, Leases } from "../../core/ports/leases.ts"
import { type ProcessIdentity, WORKER_LEASES, workerLeaseData, workerOfLease } from "../../core/workerLease.ts"
import { isSurelyGone } from "./hostProcess.ts"
import type { WorkerLease } from "./lease.ts"
import { takeOver, type TakeoverDeps } from "./takeover.ts"

export interface PredecessorsDeps extends Omit<TakeoverDeps, "candidates" | "rest" | "hasEnded"> {
  readonly leases: Leases["Service"]
  readonly lease: WorkerLease
  readonly process: ProcessIdentity
  readonly engines: readonly string[]
  /** Makes the claim part of what the own lease says. */
  readonly claim: (workers: readonly string[]) => void
}

interface Gone {
  readonly lease: Lease
  readonly hasEnded: boolean
}

/** Null where somebody else was first, or where this node may not: a broker may let it write its own leases only. */
const ifMine = <A>(effect: Effect.Effect<A, BerthError>): Effect.Effect<A | null, BerthError> =>
  Effect.catch(effect, (error) =>
    error.code === "VERSION_CONFLICT" || !error.retryable ? Effect.succeed(null) : Effect.fail(error),
  )

/** PD1. One without engines, whose handlers ended with it, is anybody's who stands in the same table of processes. */
const findGone = ({ engines, leases, process, worker }: PredecessorsDeps): Effect.Effect<readonly Gone[], BerthError> =>
  Effect.gen(function* () {
    const gone: Gone[] = []
    for (const lease of yield* leases.list(WORKER_LEASES)) {
      const data = workerLeaseData(lease)
      if (workerOfLease(lease) === worker.name) continue
      if (!data.engines.every((engine) => engines.includes(engine))) continue
      const hasEnded = yield* isSurelyGone(data.process, process)
      const mayAdopt = data.engines.length > 0 && (lease.revoked || data.detached)
      if (hasEnded || mayAdopt) gone.push({ lease, hasEnded })
    }
    return gone
  })

export const settlePredecessors = (deps: PredecessorsDeps): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const { claim, executors, lease, leases } = deps
    const found = yield* findGone(deps)
    if (found.length === 0) return
    claim(found.map((gone) => workerOfLease(gone.lease)))
    yield* lease.renew
    const revoked: Gone[] = []
    for (const gone of found) {
      const now = gone.lease.revoked ? gone.lease : yield* ifMine(leases.revoke(gone.lease))
      if (now !== null) revoked.push({ ...gone, lease: now })
    }
    const names = new Set(revoked.map((gone) => workerOfLease(gone.lease)))
    const ended = new Set(revoked.filter(({ hasEnded }) => hasEnded).map((gone) => workerOfLease(gone.lease)))
    const candidates = Effect.gen(function* () {
      const ids = new Set(revoked.flatMap((gone) => workerLeaseData(gone.lease).held.map(([taskId]) => taskId)))
      // What was started after its last renewal is not listed there; its place may be found by its name.
      for (const executor of executors.all) {
        const places = yield* Effect.catch(executor.places([...names]), () => Effect.succeed([]))
        for (const { taskId } of places) if (taskId !== null) ids.add(taskId)
      }
      return ids
    })
    const takeover = { ...deps, candidates, rest: "leader", hasEnded: (name: string) => ended.has(name) } as const
    yield* takeOver(takeover, (name) => names.has(name))
    for (const gone of revoked) yield* ifMine(leases.release(gone.lease))
    claim([])
    yield* lease.renew
  })
