/**
 * One life of a worker under one name: from its lease to the loss of it. A worker that lost its lease begins again under
 * another name, because nobody may believe what the old one still says.
 *
 *   acquire ─▶ settle predecessors ─▶ pull ─▶ … ─▶ lost ─▶ abandon
 *                                            └──▶ leave ─▶ released, or left to a successor
 *
 * Embedded, the lock of the data directory is the lease: it is never lost, and the fence is always open.
 */
import { Effect, Exit, Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { leaseTimes } from "../../core/policy/lease.ts"
import { meets, type Possessions, routeOf } from "../../core/policy/route.ts"
import type { Leases } from "../../core/ports/leases.ts"
import type { Workers } from "../../core/ports/workers.ts"
import type { Logger, Telemetry } from "../../core/telemetry.ts"
import { type ProcessIdentity, workerLeaseName } from "../../core/workerLease.ts"
import { persist } from "../persist.ts"
import { Engines } from "./engines.ts"
import { type Fence, makeFence } from "./fence.ts"
import { said, storeIsAway } from "./goodbye.ts"
import type { Deps } from "./held.ts"
import { makeWorkerLease, type WorkerLease } from "./lease.ts"
import type { WorkerOptions } from "./options.ts"
import { tellFenced, tellGoesOn } from "./phases.ts"
import { settlePredecessors } from "./predecessors.ts"
import { makeRegistration } from "./registration.ts"
import { startSweeping } from "./sweeping.ts"
import type { TakeoverDeps } from "./takeover.ts"
import { makeWorker, type Worker } from "./worker.ts"

export interface LifeOptions {
  readonly worker: Omit<WorkerOptions, "deps" | "name" | "meets"> & {
    readonly deps: Omit<Deps, "fenceOpen" | "isFenceOpen">
  }
  readonly takeover: Omit<TakeoverDeps, "worker" | "candidates" | "rest" | "hasEnded">
  readonly workers: Workers["Service"]
  readonly has: (engines: Engines) => Possessions
  readonly info: (worker: Worker, engines: Engines) => ReturnType<Parameters<typeof makeRegistration>[0]["info"]>
  readonly logger: Logger
  readonly telemetry: Telemetry
}

export interface Incarnation {
  readonly worker: Worker
  /** Resolves when the lease is lost; never, where there is none. */
  readonly lost: Effect.Effect<void>
  /** Settles what predecessors left, then pulls, sweeps and tells the registry. */
  readonly begin: Effect.Effect<void, BerthError>
  /** Forgets everything, removes its places, and ends. */
  readonly abandon: Effect.Effect<void>
  /** Lets go of what runs, for a successor, and leaves the registry. */
  readonly leave: Effect.Effect<void>
}

const OPEN: Pick<Fence, "isOpen" | "open"> = { isOpen: () => true, open: Effect.void }

const workerOf = (options: LifeOptions, name: string, fence: Pick<Fence, "isOpen" | "open">, engines: Engines) =>
  makeWorker({
    ...options.worker,
    name,
    meets: (spec) => meets(options.has(engines), routeOf(spec)),
    deps: { ...options.worker.deps, fenceOpen: fence.open, isFenceOpen: fence.isOpen },
  })

/** What every life does once its predecessors are settled. */
const goToWork = (
  options: LifeOptions,
  worker: Worker,
  given: {
    readonly isGone: (worker: string) => Effect.Effect<boolean, BerthError>
    readonly engines: Engines
    readonly maySpeak: () => boolean
  },
): Effect.Effect<void, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const { clock } = options.worker.deps
    const { executors } = options.worker
    yield* startSweeping({
      ...options.takeover,
      executors: executors.all,
      isGone: given.isGone,
      worker,
      logger: options.logger,
    })
    const registration = makeRegistration({
      workers: options.workers,
      clock,
      info: () => options.info(worker, given.engines),
      maySpeak: given.maySpeak,
    })
    yield* worker.begin
    yield* persist(registration.register, clock, options.worker.deps.random)
    yield* Effect.forkScoped(given.engines.run)
    yield* Effect.forkScoped(registration.run)
  })

/** The only life of an embedded worker; `settle` sees to what the last process left. */
export const embeddedLife = (
  options: LifeOptions,
  name: string,
  settle: (worker: Worker) => Effect.Effect<void, BerthError>,
): Effect.Effect<Incarnation, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const engines = new Engines(options.worker.executors.all, options.worker.deps.clock)
    const worker = yield* workerOf(options, name, OPEN, engines)
    const given = {
      isGone: () => Effect.succeed(true),
      engines,
      maySpeak: () => true,
    }
    return {
      worker,
      lost: Effect.never,
      begin: Effect.andThen(settle(worker), Scope.provide(goToWork(options, worker, given), scope)),
      abandon: Effect.void,
      leave: Effect.andThen(worker.detach, Effect.ignore(options.workers.remove(name))),
    }
  })

export interface LeasedLifeOptions extends LifeOptions {
  readonly leases: Leases["Service"]
  readonly leaseMs: number
  readonly process: ProcessIdentity
}

/** One life in a cluster. Fails only where its lease could not be had. */
export const leasedLife = (
  options: LeasedLifeOptions,
  name: string,
): Effect.Effect<Incarnation, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const { leases, logger, process, telemetry } = options
    const { clock, random } = options.worker.deps
    const scope = yield* Scope.fork(yield* Effect.scope)
    const times = leaseTimes(options.leaseMs)
    const engines = new Engines(options.worker.executors.all, clock)
    yield* engines.learn
    let adopting: readonly string[] = []
    let left: ReturnType<Worker["held"]> | null = null

    const inBackground = (effect: Effect.Effect<void>): void => void Effect.runFork(Effect.forkIn(effect, scope))
    const lease: WorkerLease = makeWorkerLease({
      worker: name,
      times,
      leases,
      clock,
      data: () => ({
        leaseMs: times.leaseMs,
        process,
        engines: engines.ids,
        held: left ?? worker.held(),
        adopting,
        detached: left !== null,
      }),
    })
    const fence = makeFence({
      clock,
      lease,
      marginMs: times.marginMs,
      places: () => worker.places(),
      onClosed: () => {
        telemetry.count("fenced")
        logger.warn({ worker: name, held: worker.heldCount() }, "lease not renewed in time: programs are paused")
        inBackground(tellFenced(options.worker.deps, worker.places()))
      },
      onUnconfirmed: (taskIds) => {
        telemetry.count("fenceUnconfirmed", {}, taskIds.length)
        logger.error({ worker: name, taskIds }, "nobody knows whether these programs were paused")
      },
      onOpened: (paused, closedMs) => {
        logger.warn({ worker: name, paused: paused.length, closedMs }, "lease renewed: programs go on")
        inBackground(tellGoesOn(options.worker.deps, paused))
      },
    })
    const worker: Worker = yield* Scope.provide(workerOf(options, name, fence, engines), scope)
    yield* persist(lease.acquire, clock, random)
    yield* Effect.forkIn(lease.keep, scope)
    yield* Effect.forkIn(fence.run, scope)

    const isGone = (other: string) =>
      Effect.map(leases.read(workerLeaseName(other)), (found) => found === null || found.revoked)
    const claim = (workers: readonly string[]): void => {
      adopting = workers
    }
    const settle = Effect.suspend(() =>
      settlePredecessors({ ...options.takeover, worker, leases, lease, process, engines: engines.ids, claim }),
    )
    const given = { isGone, engines, maySpeak: lease.isTrusted }
    const end = Scope.close(scope, Exit.void)
    return {
      worker,
      lost: lease.lost,
      begin: Effect.andThen(persist(settle, clock, random), Scope.provide(goToWork(options, worker, given), scope)),
      abandon: Effect.andThen(worker.abandon, end),
      leave: Effect.gen(function* () {
        const held = worker.held()
        const away = storeIsAway(leases.read(workerLeaseName(name)), clock)
        const isHeard = yield* Effect.raceFirst(Effect.as(worker.detach, true), Effect.as(away, false))
        left = held
        if (isHeard) yield* said(held.length === 0 ? lease.release : lease.renew, clock)
        yield* end
        if (isHeard) yield* said(options.workers.remove(name), clock)
      }),
    }
  })
