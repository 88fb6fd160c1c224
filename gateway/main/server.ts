/**
 * One server in this process: the composition root of an embedded Berth. Everything is put together here and nowhere else.
 *
 *   data directory (lock, log, read model, blobs) → queue, signals, registry in memory → executors → node → router → door
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
import { Blobs } from "../../core/ports/blobs.ts"
import { Clock } from "../../core/ports/clock.ts"
import { Failpoints } from "../../core/ports/failpoints.ts"
import { Random } from "../../core/ports/random.ts"
import { Secrets } from "../../core/ports/secrets.ts"
import type { Logger } from "../../core/telemetry.ts"
import { DEFAULT_POOL } from "../../core/task/prepare.ts"
import { memoryQueue, memorySignals, memoryWorkers } from "../../store/memory/index.ts"
import { DataDir, sqliteSecrets, sqliteStore } from "../../store/sqlite/index.ts"
import { listen } from "../server/listen.ts"
import { makeRouter, type Router } from "../server/router.ts"
import { mintToken, openSecret } from "../server/secret.ts"
import type { ExecutorName } from "./choices.ts"
import { makeExecutors } from "./executors.ts"
import type { SecretsKeys } from "./secretsKeys.ts"
import { nodeGauges, prometheus } from "./telemetry.ts"
import { VERSION } from "./version.ts"

const DAY_MS = 24 * 3_600_000

export interface ServerOptions {
  readonly dataDir: string
  readonly executor: ExecutorName
  /** As `DOCKER_HOST` names it. */
  readonly engine: string
  readonly handlers: Handlers
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
}

export interface Server {
  readonly dataDir: string
  readonly router: Router
  readonly node: BerthNode
  readonly clock: Clock["Service"]
  /** Null without a door. */
  readonly url: string | null
  readonly mint: (principal: Principal, lifeMs?: number) => Promise<string>
  /** Stops in order: door, node, store. Idempotent; running containers are left to a successor. */
  readonly close: () => Promise<void>
}

const assemble = Effect.fn("server")(function* (options: ServerOptions) {
  const { dataDir, logger } = options
  const clock = yield* Clock
  const random = yield* Random
  const failpoints = yield* Failpoints
  const data = yield* DataDir
  const secrets = yield* Secrets
  const config = resolveConfig(options.config, options.environment)
  const secret = yield* openSecret(dataDir)
  const nodeId = `n${random.id()}`
  const registry = new Registry()
  const telemetry = prometheus(registry)
  const executors = makeExecutors({
    name: options.executor,
    engine: options.engine,
    handlers: options.handlers,
    clusterId: data.clusterId,
    worker: nodeId,
    pool: DEFAULT_POOL,
    hostId: hostname(),
    dataDir,
    secret,
    path: options.environment.PATH ?? "/usr/local/bin:/usr/bin:/bin",
    clock,
    random,
    failpoints,
    secrets,
    telemetry,
  })
  yield* Effect.addFinalizer(() => Effect.sync(executors.close))
  const node = yield* startNode({
    config,
    clusterId: data.clusterId,
    nodeId,
    version: VERSION,
    store: "sqlite",
    executors: executors.all,
    handlers: Object.keys(options.handlers),
    executorDetail: executors.detail,
    backends: executors.backends,
    logger,
    telemetry,
    onFatal: options.onFatal,
  }).pipe(Effect.provideService(Blobs, guardedBlobs(yield* Blobs, executors.blobsGuard)))
  nodeGauges(registry, node, executors.backends)
  const router = makeRouter({ tasks: node.service, secrets, clock, logger, version: VERSION })
  const door =
    options.door === null ? null : yield* openDoor(options.door, { node, router, clock, logger, secret, registry })
  if (door !== null) yield* data.announce(door.url)
  const mint = (principal: Principal, lifeMs = DAY_MS) => mintToken(secret, principal, clock.nowMs(), lifeMs)
  const stop = Effect.andThen(door?.close("restart") ?? Effect.void, node.stop)
  return { dataDir, router, node, clock, url: door?.url ?? null, mint, stop }
})

interface DoorParts {
  readonly node: BerthNode
  readonly router: Router
  readonly clock: Clock["Service"]
  readonly logger: Logger
  readonly secret: Uint8Array
  readonly registry: Registry
}

const openDoor = (
  door: NonNullable<ServerOptions["door"]>,
  { clock, logger, node, registry, router, secret }: DoorParts,
): ReturnType<typeof listen> => {
  const { jwks, ...where } = door
  return listen({ ...where, tasks: node.service, router, clock, logger, registry, auth: { secret, jwks } })
}

/** Opens a server, or rejects with a BerthError and leaves nothing behind. */
export async function openServer(options: ServerOptions): Promise<Server> {
  const armed = options.environment.BERTH_FAILPOINT
  const system = Layer.mergeAll(liveClock, liveRandom, armed ? crashingFailpoints(armed) : noFailpoints)
  const ports = Layer.mergeAll(
    sqliteSecrets({ keys: options.secretsKeys }).pipe(Layer.provideMerge(sqliteStore({ dataDir: options.dataDir }))),
    memoryQueue(),
    memorySignals,
    memoryWorkers,
  ).pipe(Layer.provideMerge(system))
  const scope = Effect.runSync(Scope.make())
  const running = Effect.gen(function* () {
    const context = yield* Layer.build(ports)
    return yield* Effect.provide(assemble(options), context)
  })
  const opened = await Effect.runPromise(
    Scope.provide(running, scope).pipe(Effect.onError(() => Scope.close(scope, Exit.void))),
  )
  let closing: Promise<void> | null = null
  const { stop, ...server } = opened
  const close = () => {
    closing ??= Effect.runPromise(Effect.ensuring(stop, Scope.close(scope, Exit.void)))
    return closing
  }
  return { ...server, close }
}
