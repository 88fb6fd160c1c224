import { createHmac } from "node:crypto"
import { join } from "node:path"
import { Effect } from "effect"
import { dockerExecutor } from "../../actors/executor/docker/index.ts"
import { pingEngine } from "../../actors/executor/docker/ping.ts"
import { type Handlers, handlerExecutor } from "../../actors/executor/handler/index.ts"
import { processExecutor } from "../../actors/executor/process/index.ts"
import { type Backend, makeBackend } from "../../actors/executor/stack/backend.ts"
import { SharedRetryBudget } from "../../actors/executor/stack/retryBudget.ts"
import { RETRY_BUDGET_LIMITS } from "../../core/policy/retryBudget.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { ExecutorShape } from "../../core/ports/executor.ts"
import type { Failpoints } from "../../core/ports/failpoints.ts"
import type { Isolation } from "../../core/words.ts"
import type { Random } from "../../core/ports/random.ts"
import type { ExecutorName } from "./choices.ts"
import { hostUids } from "./hostUids.ts"

export interface ExecutorsOptions {
  readonly name: ExecutorName
  readonly engine: string
  readonly handlers: Handlers
  readonly clusterId: string
  readonly worker: string
  readonly pool: string
  readonly hostId: string
  readonly dataDir: string
  readonly slots: number
  readonly secret: Uint8Array
  readonly path: string
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  readonly failpoints: Failpoints["Service"]
}

export interface ExecutorSet {
  readonly all: readonly ExecutorShape[]
  readonly detail: (name: string) => Readonly<Record<string, unknown>>
  readonly close: () => void
}

/** The executors of one worker, each container engine behind its own breakers. */
export function makeExecutors(options: ExecutorsOptions): ExecutorSet {
  const { clock, clusterId: cluster, handlers } = options
  const handler = handlerExecutor({ handlers, clock })
  if (options.name === "none") return { all: [handler], detail: () => ({}), close: () => {} }
  if (options.name === "process") {
    const program = processExecutor({
      root: join(options.dataDir, "boxes"),
      path: options.path,
      hostId: options.hostId,
      cluster,
      clock,
    })
    return {
      all: [program, handler],
      detail: (name) => (name === "process" ? { isolation: "none" } : {}),
      close: () => {},
    }
  }
  const budget = new SharedRetryBudget(RETRY_BUDGET_LIMITS, clock)
  const shared = { clock, random: options.random, budget }
  const engine: Backend = makeBackend("docker", {
    ...shared,
    ping: pingEngine(options.engine),
    slots: { slots: options.slots, waitingMax: 1_024, waitMsMax: 60_000 },
  })
  const pulls: Backend = makeBackend("pull", shared)
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
  })
  return {
    all: [
      { ...docker, isolations: Effect.tap(docker.isolations, (has) => Effect.sync(() => (isolations = has))) },
      handler,
    ],
    detail: (name) =>
      name === "docker" ? { engine: options.engine, isolations, breaker: engine.state(), pulls: pulls.state() } : {},
    close: () => {
      engine.close()
      uids.close()
      pulls.close()
    },
  }
}
