import { createHmac } from "node:crypto"
import { join } from "node:path"
import { Effect } from "effect"
import { dockerExecutor } from "../../actors/executor/docker/index.ts"
import { pingEngine } from "../../actors/executor/docker/ping.ts"
import { type Handlers, handlerExecutor } from "../../actors/executor/handler/index.ts"
import { processExecutor } from "../../actors/executor/process/index.ts"
import type { Guard } from "../../actors/executor/guard.ts"
import { type Backend, makeBackend } from "../../actors/executor/stack/backend.ts"
import { SharedRetryBudget } from "../../actors/executor/stack/retryBudget.ts"
import { RETRY_BUDGET_LIMITS } from "../../core/policy/retryBudget.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { ExecutorShape, Job } from "../../core/ports/executor.ts"
import type { Failpoints } from "../../core/ports/failpoints.ts"
import type { Isolation } from "../../core/words.ts"
import type { Secrets } from "../../core/ports/secrets.ts"
import type { Random } from "../../core/ports/random.ts"
import type { Telemetry } from "../../core/telemetry.ts"
import type { CallObservation } from "../../actors/executor/stack/traced.ts"
import type { Config } from "../../core/config.ts"
import type { ExecutorName } from "./choices.ts"
import { hostUids } from "./hostUids.ts"
import type { Registries } from "./registries.ts"

export interface ExecutorsOptions {
  readonly name: ExecutorName
  readonly engine: string
  readonly handlers: Handlers
  readonly clusterId: string
  readonly worker: string
  readonly pool: string
  readonly hostId: string
  readonly dataDir: string
  readonly secret: Uint8Array
  readonly path: string
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  readonly failpoints: Failpoints["Service"]
  readonly secrets: Secrets["Service"]
  readonly telemetry: Telemetry
  readonly config: Pick<Config, "pullMsMax" | "pullsAtOnce">
  readonly registries: Registries
}

export interface ExecutorSet {
  readonly all: readonly ExecutorShape[]
  readonly detail: (name: string) => Readonly<Record<string, unknown>>
  /** Everything that has a breaker of its own, blobs among them. */
  readonly backends: readonly Backend[]
  /** The layers around the store of blobs. */
  readonly blobsGuard: Guard
  readonly close: () => void
}

/** The executors of one worker, and a breaker of its own for each backend: the engine, image pulls, blobs. */
export function makeExecutors(options: ExecutorsOptions): ExecutorSet {
  const { clock, clusterId: cluster, handlers, telemetry } = options
  const secrets = ({ owner, program }: Job) =>
    program.kind === "handler" ? Effect.succeed({}) : options.secrets.resolve(owner, program.secrets)
  const handler = handlerExecutor({ handlers, clock })
  const shared = {
    clock,
    random: options.random,
    budget: new SharedRetryBudget(RETRY_BUDGET_LIMITS, clock),
    observe: ({ backend, call, outcome }: CallObservation) =>
      telemetry.count("backendCalls", { backend, call, outcome }),
  }
  const blobs = makeBackend("blobs", shared)
  const withBlobs = { backends: [blobs], blobsGuard: blobs.guard }
  if (options.name === "none") return { all: [handler], detail: () => ({}), ...withBlobs, close: () => {} }
  if (options.name === "process") {
    const program = processExecutor({
      root: join(options.dataDir, "boxes"),
      path: options.path,
      hostId: options.hostId,
      cluster,
      clock,
      secrets,
    })
    return {
      all: [program, handler],
      detail: (name) => (name === "process" ? { isolation: "none" } : {}),
      ...withBlobs,
      close: () => {},
    }
  }
  const engine = makeBackend("docker", { ...shared, ping: pingEngine(options.engine) })
  const pulls = makeBackend("pull", shared)
  const uids = hostUids(options.worker)
  let isolations: readonly Isolation[] = []
  const docker = dockerExecutor({
    engine: options.engine,
    cluster,
    worker: options.worker,
    pool: options.pool,
    markerKey: createHmac("sha256", options.secret).update("markers").digest("hex"),
    leaseUids: uids.lease,
    guard: engine.guard,
    pullGuard: pulls.guard,
    accepting: engine.accepting,
    halfFed: options.failpoints.hit("feed.during"),
    clock,
    secrets,
    pullMsMax: options.config.pullMsMax,
    pullsAtOnce: options.config.pullsAtOnce,
    ...options.registries,
  })
  return {
    all: [
      { ...docker, isolations: Effect.tap(docker.isolations, (has) => Effect.sync(() => (isolations = has))) },
      handler,
    ],
    detail: (name) => (name === "docker" ? { engine: options.engine, isolations } : {}),
    backends: [engine, pulls, blobs],
    blobsGuard: blobs.guard,
    close: () => {
      engine.close()
      uids.close()
      pulls.close()
    },
  }
}
