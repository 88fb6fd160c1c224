/** The worker's role: settle what a predecessor left, pull, and tell the registry. */
import { createHash } from "node:crypto"
import { hostname } from "node:os"
import { Effect, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { DEFAULT_POOL } from "../../core/task/prepare.ts"
import type { Telemetry } from "../../core/telemetry.ts"
import type { Isolation } from "../../core/words.ts"
import type { Deps } from "../worker/held.ts"
import { startSweeping } from "../worker/sweeping.ts"
import { takeOver } from "../worker/takeover.ts"
import { makeWorker, type Worker } from "../worker/worker.ts"
import type { NodeOptions, NodePorts } from "./parts.ts"

const REGISTRY_REFRESH_MS = 200
/** Between two questions for what an engine has: while it has not answered yet, and afterwards. */
const ISOLATIONS_FIRST_MS = 1_000
const ISOLATIONS_AGAIN_MS = 30_000

export interface WorkerRole {
  readonly worker: Worker
  /** Adopts, gives back or removes everything of predecessors, then begins to pull. */
  readonly begin: Effect.Effect<void, BerthError, Scope.Scope>
  readonly drain: Effect.Effect<void>
  /** Drains for `drainMs`, detaches what still runs, and leaves the registry. */
  readonly stop: Effect.Effect<void>
}

export const makeWorkerRole = Effect.fn("workerRole")(function* (options: NodeOptions, ports: NodePorts) {
  const { config, executors: all, logger, telemetry } = options
  const { clock, readModel, workers } = ports
  const forKind = (kind: string) => all.find(({ kinds }) => kinds.some((one) => one === kind)) ?? null
  const executors = { all, forKind }
  const worker = yield* makeWorker({
    ...ports,
    name: options.nodeId,
    pool: options.pool ?? DEFAULT_POOL,
    slots: config.slots,
    overdueMs: config.overdueMs,
    outputFlushMs: config.outputFlushMs,
    executors,
    deps: { ...ports, metrics: attemptMetrics(telemetry), sha256 },
    onEscalate: (reason) => options.onFatal(`worker: ${reason}`),
    onCrash: (taskId, error) => logger.error({ taskId, error: String(error) }, "attempt crashed"),
  })
  const settlePredecessors = takeOver(
    {
      ...ports,
      worker,
      executors,
      overdueMs: config.overdueMs,
      onAdopted: () => telemetry.count("adopted"),
      onLost: (cause) => telemetry.count("lost", { cause }),
    },
    // Alone, whoever had another name is gone.
    (name) => ports.leases === null && name !== worker.name,
  )
  let isolations: readonly Isolation[] = []
  /** Apart from the registry's own rhythm: an engine that hangs must not make this worker look dead. */
  const learnIsolations = Effect.gen(function* () {
    const known = yield* Effect.exit(Effect.all(all.map((executor) => executor.isolations)))
    if (known._tag === "Success") isolations = [...new Set(known.value.flat())]
    yield* clock.sleep(known._tag === "Success" ? ISOLATIONS_AGAIN_MS : ISOLATIONS_FIRST_MS)
  })
  const register = Effect.suspend(() =>
    workers.put({
      worker: worker.name,
      host: hostname(),
      engineId: null,
      pool: options.pool ?? DEFAULT_POOL,
      slots: config.slots,
      // A backend that does not answer is given nothing, and the others go on.
      kinds: all.filter((executor) => executor.accepting()).flatMap(({ kinds }) => kinds),
      kindsUnavailable: all.filter((executor) => !executor.accepting()).flatMap(({ kinds }) => kinds),
      handlers: options.handlers,
      isolations,
      labels: options.labels ?? {},
      draining: worker.isDraining(),
      accepting: worker.accepting(),
      version: options.version,
      startedAtMs: options.startedAtMs,
    }),
  )
  const begin = Effect.gen(function* () {
    yield* settlePredecessors
    if (ports.leases === null) yield* startSweeping({ executors: all, readModel, clock, worker, logger })
    yield* worker.begin
    yield* register
    yield* Effect.forkScoped(Effect.forever(learnIsolations))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(clock.sleep(REGISTRY_REFRESH_MS), Effect.ignore(register))))
  })
  const drain = Effect.andThen(
    Effect.sync(() => worker.setDraining(true)),
    worker.idle,
  )
  const stop = Effect.gen(function* () {
    yield* Effect.raceFirst(drain, clock.sleep(config.drainMs))
    yield* worker.detach
    yield* workers.remove(worker.name).pipe(Effect.ignore)
  })
  return { worker, begin, drain, stop } satisfies WorkerRole
})

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
