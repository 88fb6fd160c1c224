/**
 * One node: the roles that run in this process, started and stopped in one documented order.
 *
 *   start   hub → leader's term → take over what a predecessor left → worker pulls → service answers
 *   stop    worker drains, then detaches → worker leaves the registry → term and hub end with the scope
 *
 *   N1. Nothing is pulled before everything that a predecessor held is adopted, given back or removed.
 *   N2. Stopping is idempotent and leaves running containers to a successor; handlers are told to stop.
 */
import { createHash } from "node:crypto"
import { hostname } from "node:os"
import { Effect, type Scope } from "effect"
import type { Config } from "../core/config.ts"
import type { BerthError } from "../core/errors.ts"
import { Blobs } from "../core/ports/blobs.ts"
import { Clock } from "../core/ports/clock.ts"
import { EventLog } from "../core/ports/eventLog.ts"
import type { ExecutorShape } from "../core/ports/executor.ts"
import { Failpoints } from "../core/ports/failpoints.ts"
import { Queue } from "../core/ports/queue.ts"
import { Random } from "../core/ports/random.ts"
import { ReadModel } from "../core/ports/readModel.ts"
import { Signals } from "../core/ports/signals.ts"
import { Workers } from "../core/ports/workers.ts"
import { DEFAULT_POOL } from "../core/task/prepare.ts"
import type { AttemptResult } from "../core/task/result.ts"
import type { Logger, Telemetry } from "../core/telemetry.ts"
import type { Lane } from "../core/words.ts"
import type { SystemInfo, TaskService } from "./api.ts"
import { makeHub } from "./hub.ts"
import { makeTerm, type Term } from "./leader/term.ts"
import { Programs, programsLayer } from "./programs.ts"
import { makeService } from "./service.ts"
import { supervised } from "./supervised.ts"
import { Turns, turnsLayer } from "./turns.ts"
import type { Deps } from "./worker/held.ts"
import { startSweeping } from "./worker/sweeping.ts"
import { takeOver } from "./worker/takeover.ts"
import { makeWorker } from "./worker/worker.ts"

const REGISTRY_REFRESH_MS = 200

export interface NodeOptions {
  readonly config: Config
  readonly clusterId: string
  readonly nodeId: string
  readonly version: string
  readonly store: SystemInfo["store"]
  readonly executors: readonly ExecutorShape[]
  readonly handlers: readonly string[]
  readonly executorDetail: (name: string) => Readonly<Record<string, unknown>>
  readonly logger: Logger
  readonly telemetry: Telemetry
  /** The node cannot go on: its process should end, and a successor adopts what runs. */
  readonly onFatal: (reason: string) => void
}

export interface BerthNode {
  readonly service: TaskService["Service"]
  readonly info: Effect.Effect<SystemInfo, BerthError>
  readonly heldCount: () => number
  readonly waitingIn: (lane: Lane) => number
  readonly slotDrift: () => number
  readonly drain: Effect.Effect<void>
  /** Drains for `drainMs`, detaches what still runs, and leaves the registry. */
  readonly stop: Effect.Effect<void>
}

type Ports = EventLog | ReadModel | Queue | Signals | Workers | Blobs | Clock | Random | Failpoints

export const startNode = (options: NodeOptions): Effect.Effect<BerthNode, BerthError, Scope.Scope | Ports> =>
  runNode(options).pipe(Effect.provide(programsLayer), Effect.provide(turnsLayer))

const runNode = Effect.fn("node")(function* (options: NodeOptions) {
  const { config, executors: all, logger, telemetry } = options
  const ports = {
    log: yield* EventLog,
    readModel: yield* ReadModel,
    queue: yield* Queue,
    signals: yield* Signals,
    workers: yield* Workers,
    blobs: yield* Blobs,
    clock: yield* Clock,
    random: yield* Random,
    failpoints: yield* Failpoints,
    turns: yield* Turns,
    programs: yield* Programs,
  }
  const { clock, workers } = ports
  const startedAtMs = clock.nowMs()
  const executors = { all, forKind: (kind: string) => all.find(({ kinds }) => kinds.some((one) => one === kind)) ?? null }

  const onRestart = (name: string, error: BerthError): void => {
    telemetry.count("actorRestarts", { actor: name })
    logger.warn({ actor: name, code: error.code, error: error.message }, "actor restarted")
  }
  const runForever = (name: string, start: () => Effect.Effect<never, BerthError>) =>
    Effect.forkScoped(
      supervised(start, { name, clock, onRestart }).pipe(Effect.catch((error) => Effect.sync(() => options.onFatal(`${name}: ${error.message}`)))),
    )

  const hub = makeHub(ports.log)
  yield* runForever("hub", () => hub.run)

  const worker = yield* makeWorker({
    name: options.nodeId,
    pool: DEFAULT_POOL,
    slots: config.slots,
    overdueMs: config.overdueMs,
    outputFlushMs: config.outputFlushMs,
    executors,
    queue: ports.queue,
    signals: ports.signals,
    programs: ports.programs,
    deps: { ...ports, metrics: attemptMetrics(telemetry), sha256 } satisfies Deps,
    onEscalate: (reason) => options.onFatal(`worker: ${reason}`),
    onCrash: (taskId, error) => logger.error({ taskId, error: String(error) }, "attempt crashed"),
  })

  let term: Term | null = null
  yield* runForever("leader", () => {
    term = makeTerm({
      ...ports,
      config,
      node: options.nodeId,
      onAdmitted: (count) => telemetry.count("admitted", {}, count),
      // The lock of the data directory makes this node the only one: a worker of another name is gone.
      workerHolds: (name, taskId) => name === worker.name && worker.holds(taskId),
      onRepair: (taskId, what) => {
        telemetry.count("repairs")
        logger.warn({ taskId, what }, "repaired")
      },
    })
    return term.run
  })

  yield* takeOver(
    {
      ...ports,
      worker,
      executors,
      overdueMs: config.overdueMs,
      onAdopted: () => telemetry.count("adopted"),
      onLost: (cause) => telemetry.count("lost", { cause }),
    },
    (name) => name !== worker.name,
  )
  yield* startSweeping({ executors: all, readModel: ports.readModel, clock, worker, logger })
  yield* worker.begin

  const register = workers.put({
    worker: worker.name,
    host: hostname(),
    engineId: null,
    pool: DEFAULT_POOL,
    slots: config.slots,
    kinds: all.flatMap(({ kinds }) => kinds),
    handlers: options.handlers,
    labels: {},
    get draining() {
      return worker.isDraining()
    },
    get accepting() {
      return worker.accepting()
    },
    version: options.version,
    startedAtMs,
  })
  yield* register
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(clock.sleep(REGISTRY_REFRESH_MS), Effect.ignore(register))))

  const waitingIn = (lane: Lane): number => term?.dispatcher.fold.waiting.waiting(lane) ?? 0
  const slotDrift = (): number => term?.reconciler.slotDrift() ?? 0
  const info = Effect.gen(function* () {
    const headSeq = yield* ports.log.head
    const checkpointSeq = yield* ports.readModel.checkpoint
    return {
      version: options.version,
      clusterId: options.clusterId,
      nodeId: options.nodeId,
      roles: ["gateway", "leader", "worker"],
      store: options.store,
      durability: ports.log.durability,
      leader: term?.dispatcher.isDeciding() ?? false,
      ready: term?.dispatcher.isDeciding() ?? false,
      headSeq,
      checkpointSeq,
      executors: all.map(({ accepting, name }) => ({ name, accepting: accepting(), detail: options.executorDetail(name) })),
      slotDrift: slotDrift(),
      repairs: term?.reconciler.repairs() ?? 0,
      startedAtMs,
      nowMs: clock.nowMs(),
    } satisfies SystemInfo
  })

  const service = makeService({
    ...ports,
    config,
    hub,
    handlers: options.handlers,
    onSubmitted: () => telemetry.count("submitted"),
    slotsOf: (owner) => term?.dispatcher.fold.slots.ofOwner(owner) ?? 0,
    systemInfo: info,
  })

  const drain = Effect.andThen(Effect.sync(() => worker.setDraining(true)), worker.idle)
  const stop = Effect.gen(function* () {
    worker.setDraining(true)
    yield* Effect.raceFirst(worker.idle, clock.sleep(config.drainMs))
    yield* worker.detach
    yield* workers.remove(worker.name).pipe(Effect.ignore)
  })
  return { service, info, heldCount: worker.heldCount, waitingIn, slotDrift, drain, stop }
})

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

const attemptMetrics = (telemetry: Telemetry): Deps["metrics"] => ({
  ended: (result: AttemptResult) => {
    telemetry.count("ended", { status: result.status, reason: result.reason })
    telemetry.count("outputBytes", {}, result.stdout.totalBytes + result.stderr.totalBytes)
    if (result.startedAtMs !== null) telemetry.observe("runMs", result.endedAtMs - result.startedAtMs)
  },
  lost: (cause) => telemetry.count("lost", { cause }),
})
