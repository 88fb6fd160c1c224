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
import type { TaskState } from "../../core/task/state.ts"
import { WORKER_LEASES, workerLeaseData, workerOfLease } from "../../core/workerLease.ts"
import { type Turns, unlessOvertaken } from "../turns.ts"
import { Holdings, type Loss } from "./holdings.ts"

/** Looks per lease; a lost worker is noticed so much later at most. */
const LOOKS_PER_LEASE = 20
/** Looks that lie further apart than this part of a lease say nothing of the time in between. */
const LOOKS_MISSED_PART = 4
const PAGE_ROWS = 500
const TURNS_WIDE = 32
const KEEP_REVOKED_MS = 60_000

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

interface Lost {
  readonly state: TaskState
  readonly loss: Loss
}

const lose = (deps: LossWatchDeps, { loss: { cause, message }, state }: Lost): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    yield* deps.turns.turn(state.id, {
      type: "lose",
      epoch: state.epoch,
      cause,
      message,
      overlapPossible: false,
      left: true,
      nowMs: deps.clock.nowMs(),
      jitter01: deps.random.next01(),
    })
    deps.onTaskLost(state.id, message)
  }).pipe(unlessOvertaken)

/** Changes whenever a worker comes, goes, or is revoked. */
const signatureOf = (all: readonly Lease[]): string =>
  all
    .map(({ name, revoked }) => `${name}${revoked ? "!" : ""}`)
    .sort()
    .join(" ")

/** LW5. */
class Revoked {
  readonly #sinceMonoMs = new Map<string, number>()

  /** Leases that nothing names any more, revoked long ago. */
  over(all: readonly Lease[], isNamed: (worker: string) => boolean, nowMonoMs: number): readonly Lease[] {
    const names = new Set(all.map(({ name }) => name))
    for (const name of this.#sinceMonoMs.keys()) if (!names.has(name)) this.#sinceMonoMs.delete(name)
    return all.filter((lease) => {
      if (!lease.revoked) return false
      const sinceMonoMs = this.#sinceMonoMs.get(lease.name) ?? nowMonoMs
      this.#sinceMonoMs.set(lease.name, sinceMonoMs)
      return !isNamed(workerOfLease(lease)) && nowMonoMs - sinceMonoMs >= KEEP_REVOKED_MS
    })
  }
}

export const makeLossWatch = (deps: LossWatchDeps, leases: Leases["Service"]): LossWatch => {
  const { clock, config, readModel, workers } = deps
  const sightings = new LeaseSightings()
  const holdings = new Holdings()
  const revoked = new Revoked()
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
    const losses = states.flatMap((state) => {
      const { holder } = state
      const loss = holder && holdings.lossOf(state.id, holder, known.get(holder.worker), claimed)
      return loss === null ? [] : [{ state, loss }]
    })
    holdings.keepOnly(states)
    yield* Effect.forEach(losses, (lost) => lose(deps, lost), {
      concurrency: TURNS_WIDE,
      discard: true,
    })
    const named = new Set(states.map(({ holder }) => holder?.worker))
    for (const lease of revoked.over(all, (name) => named.has(name), clock.monoMs()))
      yield* Effect.ignore(leases.release(lease))
    // A worker without a living lease is nobody to route to.
    for (const { worker } of registered)
      if (known.get(worker)?.revoked ?? true) yield* Effect.ignore(workers.remove(worker))
  })

  const look = Effect.gen(function* () {
    const all = yield* leases.list(WORKER_LEASES)
    const nowMonoMs = clock.monoMs()
    if (nowMonoMs - lookedMonoMs > config.leaseMs / LOOKS_MISSED_PART) sightings.reset()
    lookedMonoMs = nowMonoMs
    return all
  })

  const pass = Effect.gen(function* () {
    const all = yield* look
    const isSomeRevoked = yield* revokeSilent(all)
    const signature = signatureOf(all)
    if (!isSomeRevoked && signature === lastSignature && clock.monoMs() < scanAtMonoMs) return
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
