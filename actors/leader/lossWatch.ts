/**
 * Watches the leases of a cluster's workers: takes the right of one that is silent away, and gives its tasks back.
 *
 *   LW1. A lease is revoked after the same revision was seen for its lease and grace on this node's own monotonic clock, look
 *        after look; only what its compare-and-set accepts counts. While the store does not answer, nobody is seen silent.
 *   LW2. A task is lost when its holder has no lease, or a revoked one, in a list that was read after the task's row: a worker
 *        has its lease before it starts anything.
 *   LW3. What a living worker says that it is settling is left to it.
 *   LW4. A task that a living worker does not list is lost after two further renewals without it: the first of them may have
 *        been on its way when the task was started.
 *   LW5. A revoked lease is kept until nothing names its worker, and some time longer, so that the worker meets it.
 */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Config } from "../../core/config.ts"
import { LeaseSightings } from "../../core/policy/lease.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Lease, Leases } from "../../core/ports/leases.ts"
import type { Random } from "../../core/ports/random.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import type { Workers } from "../../core/ports/workers.ts"
import type { Holder, TaskState } from "../../core/task/state.ts"
import { WORKER_LEASES, workerLeaseData, workerOfLease } from "../../core/workerLease.ts"
import type { Turns } from "../turns.ts"

/** Looks per lease; a lost worker is noticed so much later at most. */
const LOOKS_PER_LEASE = 20
/** Looks that lie further apart than this part of a lease say nothing of the time in between. */
const LOOKS_MISSED_PART = 4
const PAGE_ROWS = 500
const TURNS_WIDE = 32
const KEEP_REVOKED_MS = 60_000
const ABSENCES_MAX = 2

export interface LossWatchDeps {
  readonly config: Config
  readonly leases: Leases["Service"] | null
  readonly workers: Workers["Service"]
  readonly readModel: ReadModel["Service"]
  readonly turns: Turns["Service"]
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  readonly onWorkerLost: (worker: string, detached: boolean) => void
  readonly onTaskLost: (taskId: string, why: string) => void
}

export interface LossWatch {
  readonly pass: Effect.Effect<void, BerthError>
  readonly run: Effect.Effect<never, BerthError>
}

type Loss = { readonly cause: "worker" | "infrastructure" | "detached"; readonly message: string }

export const makeLossWatch = (deps: LossWatchDeps, leases: Leases["Service"]): LossWatch => {
  const { clock, config, readModel, turns, workers } = deps
  const sightings = new LeaseSightings()
  const absences = new Map<string, { readonly revision: number; readonly times: number }>()
  const revokedSinceMonoMs = new Map<string, number>()
  let lookedMonoMs = Number.NEGATIVE_INFINITY
  let scanAtMonoMs = 0
  let lastSignature = ""

  /** LW1. */
  const revokeSilent = (all: readonly Lease[]): Effect.Effect<boolean, BerthError> =>
    Effect.gen(function* () {
      let changed = false
      for (const lease of all) {
        const { detached, leaseMs } = workerLeaseData(lease)
        const unchangedMs = sightings.unchangedMs(lease, clock.monoMs())
        if (lease.revoked || unchangedMs < leaseMs + config.leaseGraceMs) continue
        const isRevoked = yield* Effect.map(leases.revoke(lease), () => true).pipe(
          Effect.catch((error) => (error.code === "VERSION_CONFLICT" ? Effect.succeed(false) : Effect.fail(error))),
        )
        if (!isRevoked) continue
        changed = true
        deps.onWorkerLost(workerOfLease(lease), detached)
      }
      sightings.keepOnly(new Set(all.map(({ name }) => name)))
      return changed
    })

  /** What nobody can say the end of may still run; a container that was never recorded was never fed. */
  const lose = (state: TaskState, holder: Holder, { cause, message }: Loss): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const wasFed = state.spec.kind === "handler" || holder.containerId !== null
      yield* turns.turn(state.id, {
        type: "lose",
        epoch: state.epoch,
        cause: wasFed ? cause : "infrastructure",
        message,
        overlapPossible: false,
        left: wasFed,
        nowMs: clock.nowMs(),
        jitter01: deps.random.next01(),
      })
      deps.onTaskLost(state.id, message)
    }).pipe(
      Effect.catch((error) =>
        error.code === "WRONG_STATE" || error.code === "NOT_FOUND" ? Effect.void : Effect.fail(error),
      ),
    )

  /** LW4. True when the task is missing for too long. */
  const isMissing = (key: string, lease: Lease, holds: boolean): boolean => {
    const known = absences.get(key)
    if (holds) absences.delete(key)
    else if (known === undefined) absences.set(key, { revision: lease.revision, times: 0 })
    else if (lease.revision > known.revision) absences.set(key, { revision: lease.revision, times: known.times + 1 })
    return (absences.get(key)?.times ?? 0) >= ABSENCES_MAX
  }

  const verdict = (
    state: TaskState,
    holder: Holder,
    known: ReadonlyMap<string, Lease>,
    claimed: ReadonlySet<string>,
    seen: Set<string>,
  ): Loss | null => {
    const lease = known.get(holder.worker)
    if (lease === undefined || lease.revoked) {
      if (claimed.has(holder.worker)) return null
      const detached = lease !== undefined && workerLeaseData(lease).detached
      const message = detached
        ? `worker ${holder.worker} was stopped and no successor came for it`
        : `worker ${holder.worker} was lost: its lease was not renewed`
      return { cause: detached ? "detached" : "worker", message }
    }
    const key = `${state.id}/${holder.epoch}`
    seen.add(key)
    const holds = workerLeaseData(lease).held.some(([taskId, epoch]) => taskId === state.id && epoch === holder.epoch)
    return isMissing(key, lease, holds)
      ? { cause: "worker", message: `worker ${holder.worker} does not hold it` }
      : null
  }

  const running = Effect.gen(function* () {
    const states: TaskState[] = []
    for (;;) {
      const rows = yield* readModel.scan("running", states.at(-1)?.id ?? "", PAGE_ROWS)
      states.push(...rows.map(({ state }) => state))
      if (rows.length < PAGE_ROWS) return states
    }
  })

  /** LW2, LW3. */
  const scan = Effect.gen(function* () {
    const states = yield* running
    const registered = yield* workers.list
    const all = yield* leases.list(WORKER_LEASES)
    const known = new Map(all.map((lease) => [workerOfLease(lease), lease]))
    const living = all.filter(({ revoked }) => !revoked)
    const claimed = new Set(living.flatMap((lease) => workerLeaseData(lease).adopting))
    const seen = new Set<string>()
    const losses = states.flatMap((state) => {
      const loss = state.holder && verdict(state, state.holder, known, claimed, seen)
      return loss && state.holder ? [{ state, holder: state.holder, loss }] : []
    })
    yield* Effect.forEach(losses, ({ holder, loss, state }) => lose(state, holder, loss), {
      concurrency: TURNS_WIDE,
      discard: true,
    })
    for (const key of absences.keys()) if (!seen.has(key)) absences.delete(key)
    yield* forget(all, new Set(states.map(({ holder }) => holder?.worker ?? "")))
    // A worker without a living lease is nobody to route to.
    for (const { worker } of registered)
      if (known.get(worker)?.revoked ?? true) yield* Effect.ignore(workers.remove(worker))
  })

  /** LW5. */
  const forget = (all: readonly Lease[], named: ReadonlySet<string>): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const nowMonoMs = clock.monoMs()
      const revoked = all.filter((lease) => lease.revoked)
      for (const lease of revoked) {
        const since = revokedSinceMonoMs.get(lease.name) ?? nowMonoMs
        revokedSinceMonoMs.set(lease.name, since)
        if (named.has(workerOfLease(lease)) || nowMonoMs - since < KEEP_REVOKED_MS) continue
        yield* Effect.ignore(leases.release(lease))
        revokedSinceMonoMs.delete(lease.name)
      }
    })

  /** Changes whenever a worker comes, goes, or is revoked. */
  const signatureOf = (all: readonly Lease[]): string =>
    all
      .map(({ name, revoked }) => `${name}${revoked ? "!" : ""}`)
      .sort()
      .join(" ")

  const look = Effect.gen(function* () {
    const all = yield* leases.list(WORKER_LEASES)
    const nowMonoMs = clock.monoMs()
    if (nowMonoMs - lookedMonoMs > config.leaseMs / LOOKS_MISSED_PART) sightings.reset()
    lookedMonoMs = nowMonoMs
    return all
  })

  const pass = Effect.gen(function* () {
    const all = yield* look
    const revoked = yield* revokeSilent(all)
    const signature = signatureOf(all)
    if (!revoked && signature === lastSignature && clock.monoMs() < scanAtMonoMs) return
    yield* scan
    lastSignature = signature
    scanAtMonoMs = clock.monoMs() + config.reconcileMs
  })

  return {
    pass,
    run: Effect.forever(
      pass.pipe(
        // A store that is away makes no worker look silent: what it does not answer is not seen.
        Effect.catch((error) => (error.retryable ? Effect.void : Effect.fail(error))),
        Effect.andThen(clock.sleep(config.leaseMs / LOOKS_PER_LEASE)),
      ),
    ),
  }
}
