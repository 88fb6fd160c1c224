/**
 * The worker's role: settle what a predecessor left, pull, and tell the registry. In a cluster it lives under a lease, and
 * begins again under another name when it has lost one.
 */
import { createHash } from "node:crypto"
import { Effect, Fiber, Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Possessions } from "../../core/policy/route.ts"
import { DEFAULT_POOL } from "../../core/task/prepare.ts"
import type { Telemetry } from "../../core/telemetry.ts"
import type { Deps } from "../worker/held.ts"
import type { Engines } from "../worker/engines.ts"
import { thisProcess } from "../worker/hostProcess.ts"
import { embeddedLife, type Incarnation, leasedLife, type LifeOptions } from "../worker/incarnation.ts"
import { runningTasks, takeOver } from "../worker/takeover.ts"
import type { Worker } from "../worker/worker.ts"
import type { NodeOptions, NodePorts } from "./parts.ts"

/** How long the next life waits for the last one to have removed everything. */
const ABANDON_MS_MAX = 5_000
/** Of an id: enough to be unique among the lives of one node. */
const LIFE_LETTERS = [4, 13] as const

export interface WorkerRole {
  /** Whoever the worker is now: its name changes when it has lost a lease. */
  readonly worker: Pick<Worker, "name" | "holds" | "heldCount">
  /** Adopts, gives back or removes everything of predecessors, then begins to pull. */
  readonly begin: Effect.Effect<void, BerthError, Scope.Scope>
  readonly drain: Effect.Effect<void>
  /** Drains for `drainMs`, detaches what still runs, and leaves the registry. */
  readonly stop: Effect.Effect<void>
}

export const makeWorkerRole = Effect.fn("workerRole")(function* (options: NodeOptions, ports: NodePorts) {
  const { clock, leases } = ports
  const life = lifeOptions(options, ports)
  const scope = yield* Effect.scope
  const leased =
    leases === null
      ? null
      : { leases, leaseMs: options.config.leaseMs, process: options.process ?? (yield* thisProcess) }
  let isDraining = false
  let isStopping = false

  const embedded = embeddedLife(life, options.nodeId, (worker) =>
    takeOver(
      {
        ...life.takeover,
        worker,
        candidates: runningTasks(ports.readModel),
        rest: "lost",
        hasEnded: () => true,
      },
      (name) => name !== worker.name,
    ),
  )
  // No name is ever used twice: nobody may take a new worker for the one that was revoked. All of a node's begin alike, for
  // the broker lets a node write its own leases only.
  const next = Effect.suspend(() =>
    leased === null
      ? embedded
      : leasedLife({ ...life, ...leased }, `${options.nodeId}.${ports.random.id().slice(...LIFE_LETTERS)}`),
  ).pipe(Effect.tap(({ worker }) => Effect.sync(() => worker.setDraining(isDraining))))
  let now: Incarnation = yield* next

  /** What was lost is removed while the next life begins, which waits a little so that their slots do not add up. */
  const reborn = Effect.gen(function* () {
    yield* now.lost
    if (isStopping) return yield* Effect.never
    isDraining = now.worker.isDraining()
    options.telemetry.count("leasesLost")
    options.logger.warn({ worker: now.worker.name, held: now.worker.heldCount() }, "lease lost: beginning again")
    const abandoned = yield* Effect.forkIn(now.abandon, scope)
    yield* Effect.raceFirst(Fiber.await(abandoned), clock.sleep(ABANDON_MS_MAX))
    // Not within what made the last one end: that may be an actor's own step.
    yield* Effect.yieldNow
    now = yield* Scope.provide(next, scope)
    yield* now.begin
  })

  const rebirth = Effect.catch(reborn, (error) =>
    Effect.andThen(
      Effect.sync(() => options.onFatal(`worker: ${error.message}`)),
      Effect.never,
    ),
  )

  const drain = Effect.suspend(() => {
    isDraining = true
    now.worker.setDraining(true)
    return now.worker.idle
  })
  const stop = Effect.gen(function* () {
    yield* Effect.raceFirst(drain, clock.sleep(options.config.drainMs))
    isStopping = true
    yield* now.leave
  })
  return {
    worker: {
      get name() {
        return now.worker.name
      },
      holds: (taskId: string) => now.worker.holds(taskId),
      heldCount: () => now.worker.heldCount(),
    },
    begin: Effect.andThen(
      Effect.suspend(() => now.begin),
      Effect.asVoid(Effect.forkIn(Effect.forever(rebirth), scope)),
    ),
    drain,
    stop,
  } satisfies WorkerRole
})

const lifeOptions = (options: NodeOptions, ports: NodePorts): LifeOptions => {
  const { config, executors: all, logger, telemetry } = options
  const forKind = (kind: string) => all.find(({ kinds }) => kinds.some((one) => one === kind)) ?? null
  const executors = { all, forKind }
  const pool = options.pool ?? DEFAULT_POOL
  const { handlers, labels = {} } = options
  const has = ({ isolations }: Engines): Possessions => ({ pool, handlers, isolations, labels })
  return {
    worker: {
      ...ports,
      pool,
      slots: config.slots,
      overdueMs: config.overdueMs,
      outputFlushMs: config.outputFlushMs,
      executors,
      deps: { ...ports, metrics: attemptMetrics(telemetry), sha256 },
      onEscalate: (reason) => options.onFatal(`worker: ${reason}`),
      onCrash: (taskId, error) => logger.error({ taskId, error: String(error) }, "attempt crashed"),
    },
    takeover: {
      ...ports,
      executors,
      overdueMs: config.overdueMs,
      onAdopted: () => telemetry.count("adopted"),
      onLost: (cause) => telemetry.count("lost", { cause }),
    },
    workers: ports.workers,
    has,
    info: (worker, engines) => ({
      ...has(engines),
      worker: worker.name,
      engineId: engines.ids[0] ?? null,
      slots: config.slots,
      held: worker.heldCount(),
      // A backend that does not answer is given nothing, and the others go on.
      kinds: all.filter((executor) => executor.accepting()).flatMap(({ kinds }) => kinds),
      kindsUnavailable: all.filter((executor) => !executor.accepting()).flatMap(({ kinds }) => kinds),
      draining: worker.isDraining(),
      accepting: worker.accepting(),
      version: options.version,
      startedAtMs: options.startedAtMs,
    }),
    logger,
    telemetry,
  }
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

const attemptMetrics = (telemetry: Telemetry): Deps["metrics"] => ({
  started: (state, nowMs) => {
    if (state.epoch === 1) telemetry.observe("queueMs", nowMs - state.submittedAtMs)
  },
  ended: (result) => {
    telemetry.count("ended", { status: result.status, reason: result.reason })
    telemetry.count("outputBytes", {}, result.stdout.totalBytes + result.stderr.totalBytes)
    if (result.startedAtMs !== null) telemetry.observe("runMs", result.endedAtMs - result.startedAtMs)
  },
  lost: (cause) => telemetry.count("lost", { cause }),
})
