/**
 * One node: the roles that run in this process, started and stopped in one documented order.
 *
 *   start   hub → leader's term → what a predecessor left → worker pulls → service answers
 *   stop    worker drains, then detaches → worker leaves the registry → term and hub end with the scope
 *
 *   N1. Nothing is pulled before everything that a predecessor held is adopted, given back or removed.
 *   N2. Stopping is idempotent and leaves running containers to a successor; handlers are told to stop.
 */
import { Effect, type Scope } from "effect"
import type { BerthError } from "../core/errors.ts"
import type { Blobs } from "../core/ports/blobs.ts"
import type { Clock } from "../core/ports/clock.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import type { Failpoints } from "../core/ports/failpoints.ts"
import type { Queue } from "../core/ports/queue.ts"
import type { Random } from "../core/ports/random.ts"
import type { ReadModel } from "../core/ports/readModel.ts"
import type { Signals } from "../core/ports/signals.ts"
import type { Workers } from "../core/ports/workers.ts"
import type { Lane } from "../core/words.ts"
import type { SystemInfo, TaskService } from "./api.ts"
import { tellBackends } from "./backends.ts"
import { makeHub } from "./hub.ts"
import { makeTerm, type Term } from "./leader/term.ts"
import { programsLayer } from "./programs.ts"
import { type NodeOptions, type NodePorts, nodePorts } from "./roles/parts.ts"
import { makeWorkerRole } from "./roles/worker.ts"
import { makeService } from "./service.ts"
import { supervised } from "./supervised.ts"
import { turnsLayer } from "./turns.ts"

export type { NodeOptions } from "./roles/parts.ts"

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

export const startNode = (
  given: Omit<NodeOptions, "startedAtMs">,
): Effect.Effect<BerthNode, BerthError, Scope.Scope | Ports> =>
  nodePorts.pipe(
    Effect.flatMap((ports) => runNode({ ...given, startedAtMs: ports.clock.nowMs() }, ports)),
    Effect.provide(programsLayer),
    Effect.provide(turnsLayer),
  )

const runNode = Effect.fn("node")(function* (options: NodeOptions, ports: NodePorts) {
  const { config, telemetry } = options
  const runForever = foreverSupervised(options, ports)
  const hub = makeHub(ports.log)
  yield* runForever("hub", () => hub.run)
  yield* tellBackends(options, ports.signals)

  const { begin, drain, stop, worker } = yield* makeWorkerRole(options, ports)
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
        options.logger.warn({ taskId, what }, "repaired")
      },
    })
    return term.run
  })
  yield* begin

  const info = systemInfo(options, ports, () => term)
  const service = makeService({
    ...ports,
    config,
    hub,
    handlers: options.handlers,
    onSubmitted: () => telemetry.count("submitted"),
    slotsOf: (owner) => term?.dispatcher.fold.slots.ofOwner(owner) ?? 0,
    systemInfo: info,
  })
  const waitingIn = (lane: Lane): number => term?.dispatcher.fold.waiting.waiting(lane) ?? 0
  const slotDrift = (): number => term?.reconciler.slotDrift() ?? 0
  return { service, info, heldCount: worker.heldCount, waitingIn, slotDrift, drain, stop }
})

/** Actors of the node itself: started again when they fail, and the node's end when that does not help. */
const foreverSupervised =
  ({ logger, onFatal, telemetry }: NodeOptions, { clock }: NodePorts) =>
  (name: string, start: () => Effect.Effect<never, BerthError>) => {
    const onRestart = (actor: string, error: BerthError): void => {
      telemetry.count("actorRestarts", { actor })
      logger.warn({ actor, code: error.code, error: error.message }, "actor restarted")
    }
    const fatal = (error: BerthError) => Effect.sync(() => onFatal(`${name}: ${error.message}`))
    return Effect.forkScoped(supervised(start, { name, clock, onRestart }).pipe(Effect.catch(fatal)))
  }

const systemInfo = (options: NodeOptions, { clock, log, readModel }: NodePorts, term: () => Term | null) =>
  Effect.gen(function* () {
    const headSeq = yield* log.head
    const checkpointSeq = yield* readModel.checkpoint
    const isDeciding = term()?.dispatcher.isDeciding() ?? false
    return {
      version: options.version,
      clusterId: options.clusterId,
      nodeId: options.nodeId,
      roles: ["gateway", "leader", "worker"],
      store: options.store,
      durability: log.durability,
      leader: isDeciding,
      ready: isDeciding,
      headSeq,
      checkpointSeq,
      executors: options.executors.map(({ accepting, name }) => ({
        name,
        accepting: accepting(),
        detail: options.executorDetail(name),
      })),
      backends: options.backends.map((backend) => backend.state()),
      slotDrift: term()?.reconciler.slotDrift() ?? 0,
      repairs: term()?.reconciler.repairs() ?? 0,
      startedAtMs: options.startedAtMs,
      nowMs: clock.nowMs(),
    } satisfies SystemInfo
  })
