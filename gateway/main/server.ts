/**
 * One server in this process: the composition root. Everything is put together here and nowhere else.
 *
 *   alone       data directory (lock, log, read model, blobs) → queue, signals, registry in memory ─┐
 *   in a cluster           cluster.ts: broker, and a read model in the node's data directory        ┴─▶ executors → node → router → door
 */
import { hostname } from "node:os"
import { Effect, Exit, Layer, Scope } from "effect"
import { Registry } from "prom-client"
import type { Principal } from "../../actors/api.ts"
import type { Handlers } from "../../actors/executor/handler/index.ts"
import { guardedBlobs } from "../../actors/guardedBlobs.ts"
import { type BerthNode, startNode } from "../../actors/node.ts"
import { liveClock } from "../../actors/system/clock.ts"
import { crashingFailpoints, noFailpoints } from "../../actors/system/failpoints.ts"
import { liveRandom } from "../../actors/system/random.ts"
import { type ConfigInput, resolveConfig } from "../../core/config.ts"
import type { BerthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { Clock } from "../../core/ports/clock.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Failpoints } from "../../core/ports/failpoints.ts"
import type { Queue } from "../../core/ports/queue.ts"
import { Random } from "../../core/ports/random.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import { Secrets } from "../../core/ports/secrets.ts"
import type { Signals } from "../../core/ports/signals.ts"
import type { Workers } from "../../core/ports/workers.ts"
import type { Logger } from "../../core/telemetry.ts"
import { DEFAULT_POOL } from "../../core/task/prepare.ts"
import { ROLES } from "../../core/words.ts"
import { memoryQueue, memorySignals, memoryWorkers } from "../../store/memory/index.ts"
import { DataDir, sqliteSecrets, sqliteStore } from "../../store/sqlite/index.ts"
import { listen } from "../server/listen.ts"
import { makeRouter, type Router } from "../server/router.ts"
import { mintToken, openSecret } from "../server/secret.ts"
import { type ExecutorName, workerNamed } from "./choices.ts"
import { type ClusterChoice, clusterPorts } from "./cluster.ts"
import { clusterEnvironment } from "./clusterChoice.ts"
import { makeExecutors } from "./executors.ts"
import { Home } from "./home.ts"
import { registriesOf } from "./registries.ts"
import type { SecretsKeys } from "./secretsKeys.ts"
import { refuseBelowFloors } from "./strict.ts"
import { lagGauge, nodeGauges, prometheus } from "./telemetry.ts"
import { VERSION } from "./version.ts"
import { waitForBroker } from "./waiting.ts"

const DAY_MS = 24 * 3_600_000

export interface ServerOptions {
  readonly dataDir: string
  /** Null: alone, with everything in the data directory. */
  readonly cluster: ClusterChoice | null
  /** Of the worker. Default `default`. */
  readonly pool?: string | undefined
  /** Of the worker in a cluster, 1 to 32 of `[A-Za-z0-9_-]`: what permissions of the broker go by. Default: a random one. */
  readonly workerName?: string | undefined
  /** Of the worker: what tasks may require. */
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly executor: ExecutorName
  /** As `DOCKER_HOST` names it. */
  readonly engine: string
  readonly handlers: Handlers
  /** Refuse to run programs of others on an engine below the floors. */
  readonly strict: boolean
  readonly config: ConfigInput
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly logger: Logger
  /** Null: no door, the server is for this process alone. */
  readonly door: {
    readonly host?: string
    readonly port: number
    readonly origins?: readonly string[]
    readonly hosts?: readonly string[]
    readonly jwks: { readonly url: string; readonly issuer: string } | null
  } | null
  /** What secrets are sealed with, and where it comes from; null: the data directory's own key. */
  readonly secretsKeys: SecretsKeys | null
  readonly onFatal: (reason: string) => void
  /** Whether to wait for a broker that is away; left out: that ends the start. The signal ends the waiting. */
  readonly waits?: { readonly until: AbortSignal }
}

export interface Server {
  readonly dataDir: string
  readonly router: Router
  readonly node: BerthNode
  readonly clock: Clock["Service"]
  /** Null without a door. */
  readonly url: string | null
  readonly mint: (principal: Principal, lifeMs?: number) => Promise<string>
  /** Stops in order: leading and door, node, store. Idempotent; running containers are left to a successor. */
  readonly close: () => Promise<void>
}

/** @param freePort - makes room for the door */
const assemble = Effect.fn("server")(function* (options: ServerOptions, freePort: Effect.Effect<void>) {
  const { logger } = options
  const clock = yield* Clock
  const random = yield* Random
  const failpoints = yield* Failpoints
  const home = yield* Home
  const { clusterId, dataDir, roles } = home
  const secrets = yield* Secrets
  const { replicas } = yield* EventLog
  const config = resolveConfig(options.config, clusterEnvironment(options.environment, replicas))
  const { labels = {}, pool = DEFAULT_POOL, workerName } = options
  // A worker's names begin with its node's, which nobody has a second time.
  const nodeId = workerName === undefined ? `n${random.id()}` : `${workerNamed(workerName)}.${random.id()}`
  const registry = new Registry()
  const telemetry = prometheus(registry)
  const executors = makeExecutors({
    name: roles.includes("worker") ? options.executor : "none",
    engine: options.engine,
    handlers: options.handlers,
    clusterId,
    worker: nodeId,
    pool,
    hostId: hostname(),
    dataDir,
    secret: home.workerSecret,
    path: options.environment.PATH ?? "/usr/local/bin:/usr/bin:/bin",
    clock,
    random,
    failpoints,
    secrets,
    telemetry,
    config,
    registries: registriesOf(options.environment),
  })
  yield* Effect.addFinalizer(() => Effect.sync(executors.close))
  const node = yield* startNode({
    config,
    clusterId,
    nodeId,
    version: VERSION,
    store: home.store,
    roles,
    pool,
    labels,
    ...(home.snapshots === null ? {} : { snapshots: home.snapshots }),
    executors: executors.all,
    handlers: Object.keys(options.handlers),
    executorDetail: executors.detail,
    backends: executors.backends,
    logger,
    telemetry,
    onFatal: options.onFatal,
  }).pipe(Effect.provideService(Blobs, guardedBlobs(yield* Blobs, executors.blobsGuard)))
  nodeGauges(registry, node, executors.backends)
  const stopLag = lagGauge(registry)
  yield* Effect.addFinalizer(() => Effect.sync(stopLag))
  const router = makeRouter({ tasks: node.service, secrets, logger, version: VERSION })
  yield* freePort
  const door =
    options.door === null ? null : yield* openDoor(options.door, { node, router, clock, logger, home, registry })
  if (door !== null) {
    // Also where the rest of the start does not succeed; otherwise it is closed long before.
    yield* Effect.addFinalizer(() => door.close("restart"))
    yield* home.announce(door.url)
  }
  const mint = (principal: Principal, lifeMs = DAY_MS) => mintToken(home.tokenSecret, principal, clock.nowMs(), lifeMs)
  const leave = Effect.all([node.handOver, door?.close("restart") ?? Effect.void], { concurrency: 2, discard: true })
  const stop = Effect.andThen(leave, node.stop)
  return { dataDir, router, node, clock, url: door?.url ?? null, mint, stop }
})

interface DoorParts {
  readonly node: BerthNode
  readonly router: Router
  readonly clock: Clock["Service"]
  readonly logger: Logger
  readonly home: Home["Service"]
  readonly registry: Registry
}

const openDoor = (
  door: NonNullable<ServerOptions["door"]>,
  { clock, home, logger, node, registry, router }: DoorParts,
): ReturnType<typeof listen> => {
  const { jwks, ...where } = door
  const auth = { secret: home.tokenSecret, jwks }
  const isGateway = home.roles.includes("gateway")
  return listen({ ...where, isGateway, tasks: node.service, router, clock, logger, registry, auth })
}

/** Log, read model and blobs in the data directory; the rest in memory, made anew at each start. */
const embeddedPorts = (dataDir: string, keys: SecretsKeys | null) => {
  const home = Layer.effect(
    Home,
    Effect.gen(function* () {
      const { announce, clusterId } = yield* DataDir
      const secret = yield* openSecret(dataDir)
      const secrets = { tokenSecret: secret, workerSecret: secret }
      return { dataDir, store: "sqlite", clusterId, roles: ROLES, ...secrets, snapshots: null, announce }
    }),
  )
  const memory = Layer.mergeAll(memoryQueue(), memorySignals, memoryWorkers)
  const stored = Layer.mergeAll(home, sqliteSecrets({ keys })).pipe(Layer.provideMerge(sqliteStore({ dataDir })))
  return Layer.mergeAll(stored, memory)
}

type Ports = Home | EventLog | ReadModel | Queue | Signals | Workers | Blobs | Secrets
type System = Clock | Random | Failpoints

const portsOf = ({
  cluster,
  config,
  dataDir,
  environment,
  logger,
  secretsKeys,
}: ServerOptions): Layer.Layer<Ports, BerthError, System> => {
  if (cluster === null) return embeddedPorts(dataDir, secretsKeys)
  const { idempotencyMs } = resolveConfig(config, environment)
  return clusterPorts({ ...cluster, dataDir, logger, idempotencyMs, secretsKeys })
}

/** Opens a server, or rejects with a BerthError and leaves nothing behind. */
export async function openServer(options: ServerOptions): Promise<Server> {
  const armed = options.environment.BERTH_FAILPOINT
  const system = Layer.mergeAll(liveClock, liveRandom, armed ? crashingFailpoints(armed) : noFailpoints)
  const open = Effect.fn("open")(function* (freePort: Effect.Effect<void>) {
    const scope = yield* Scope.make()
    const running = Effect.gen(function* () {
      yield* refuseBelowFloors(options)
      const context = yield* Layer.build(portsOf(options).pipe(Layer.provideMerge(system)))
      return yield* Effect.provide(assemble(options, freePort), context)
    })
    const server = yield* Scope.provide(running, scope).pipe(Effect.onError(() => Scope.close(scope, Exit.void)))
    return { ...server, scope }
  })
  const waiting = Effect.gen(function* () {
    const { door, logger } = options
    return yield* waitForBroker({ clock: yield* Clock, random: yield* Random, door, logger }, open)
  }).pipe(Effect.provide(system))
  const opened = await (options.waits === undefined || options.cluster === null
    ? Effect.runPromise(open(Effect.void))
    : Effect.runPromise(waiting, { signal: options.waits.until }))
  let closing: Promise<void> | null = null
  const { scope, stop, ...server } = opened
  const close = () => {
    closing ??= Effect.runPromise(Effect.ensuring(stop, Scope.close(scope, Exit.void)))
    return closing
  }
  return { ...server, close }
}
