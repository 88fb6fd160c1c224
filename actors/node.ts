/**
 * One node: the roles that run in this process, started and stopped in one documented order.
 *
 *   start   level of records → hub, projector → leader's terms → what a predecessor left → worker pulls → service answers
 *   stop    leader hands over → worker drains, then detaches → worker leaves the registry → the rest ends with the scope
 *
 *   N1. Nothing is pulled before everything that a predecessor held is adopted, given back or removed.
 *   N2. Stopping is idempotent and leaves running containers to a successor; handlers are told to stop.
 *   N3. Only the roles that were asked for run: a node that is no leader never decides, one that is no worker never pulls.
 *   N4. In a cluster (`leases` are there) the read model is this node's own, and leading is a matter of election.
 *   N5. A node that cannot read the records that are written, or will be, does not start, and ends when it becomes so.
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
import { systemInfo } from "./info.ts"
import { LEADER_LEASE } from "./leader/election.ts"
import { enterLevels } from "./nodeLease.ts"
import { persist } from "./persist.ts"
import { programsLayer } from "./programs.ts"
import { makeProjector } from "./projector.ts"
import { type Reading, readingBesideLog, withReached } from "./reading.ts"
import { NO_LEADER, startLeader } from "./roles/leader.ts"
import { type NodeOptions, type NodePorts, nodePorts, rolesOf } from "./roles/parts.ts"
import { makeWorkerRole, type WorkerRole } from "./roles/worker.ts"
import { makeService } from "./service.ts"
import { type RunForever, supervised } from "./supervised.ts"
import { turnsLayer } from "./turns.ts"

export type { NodeOptions } from "./roles/parts.ts"

export interface BerthNode {
  readonly service: TaskService["Service"]
  readonly info: Effect.Effect<SystemInfo, BerthError>
  readonly heldCount: () => number
  readonly waitingIn: (lane: Lane) => number
  readonly slotDrift: () => number
  readonly drain: Effect.Effect<void>
  /** Lets another node of the cluster lead at once; part of `stop`, and may come long before it. */
  readonly handOver: Effect.Effect<void>
  /** Hands over, drains for `drainMs`, detaches what still runs, and leaves the registry. */
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
  const roles = rolesOf(options)
  const runForever = foreverSupervised(options, ports)
  const staying = yield* enterLevels(options, ports)
  yield* runForever("node lease", () => staying)
  const hub = makeHub(ports.log)
  yield* runForever("hub", () => hub.run)
  yield* tellBackends(options, ports.signals)
  const reading = yield* startReading(options, ports, runForever)

  const workerRole = roles.includes("worker") ? yield* makeWorkerRole(options, ports) : null
  const workerHolds = (name: string, taskId: string): boolean | null => {
    const own = workerRole !== null && name === workerRole.worker.name
    // Alone, the lock of the data directory makes this node the only one: a worker of another name is gone.
    return own ? workerRole.worker.holds(taskId) : ports.leases === null ? false : null
  }
  const { handOver, term } = roles.includes("leader")
    ? yield* startLeader(options, ports, { reading, runForever, workerHolds })
    : NO_LEADER
  const isWorking = yield* beginWork(options, ports, reading, workerRole)

  const info = systemInfo(options, ports, { reading, term, isWorking })
  const service = makeService({
    ...ports,
    readModel: withReached(ports.readModel, reading),
    head: reading.head,
    config,
    hub,
    // Other nodes may have handlers that this one has not.
    handlers: ports.leases === null ? options.handlers : null,
    onSubmitted: (first) => {
      telemetry.count("submitted")
      hub.began(first.record.state.id, first)
    },
    slotsOf: (owner) => term()?.dispatcher.fold.slots.ofOwner(owner) ?? 0,
    systemInfo: info,
  })
  const drain = workerRole?.drain ?? Effect.void
  return {
    service,
    info,
    heldCount: () => workerRole?.worker.heldCount() ?? 0,
    waitingIn: (lane: Lane) => term()?.dispatcher.fold.waiting.waiting(lane) ?? 0,
    slotDrift: () => term()?.reconciler.slotDrift() ?? 0,
    drain,
    handOver,
    stop: Effect.andThen(handOver, workerRole?.stop ?? Effect.void),
  } satisfies BerthNode
})

/**
 * N1: a predecessor's tasks are found in the read model, so nothing is pulled before that has caught up. A node of a cluster
 * answers meanwhile, and says that it is not ready; alone, nothing answers before the worker pulls.
 */
const beginWork = Effect.fn("beginWork")(function* (
  { onFatal }: NodeOptions,
  { clock, leases, random }: NodePorts,
  reading: Reading,
  role: WorkerRole | null,
) {
  if (role === null) return () => true
  if (leases === null) {
    yield* role.begin
    return () => true
  }
  let working = false
  const begin = Effect.andThen(persist(reading.caughtUp, clock, random), role.begin)
  yield* Effect.forkScoped(
    Effect.match(begin, {
      onSuccess: () => void (working = true),
      onFailure: (error) => onFatal(`worker: ${error.message}`),
    }),
  )
  return () => working
})

/** N4. */
const startReading = Effect.fn("reading")(function* (options: NodeOptions, ports: NodePorts, runForever: RunForever) {
  const { leases } = ports
  if (leases === null) return readingBesideLog(ports)
  const leader = yield* leases.read(LEADER_LEASE)
  const projector = makeProjector({
    ...ports,
    logger: options.logger,
    leaderBefore: leader === null || leader.revoked ? null : leader.holder,
    onTooNew: (error) => options.onFatal(`${error.message} (${error.advice})`),
  })
  yield* runForever("projector", () => projector.run)
  return projector satisfies Reading
})

/** Actors of the node itself: started again when they fail, and the node's end when that does not help. */
const foreverSupervised =
  ({ logger, onFatal, telemetry }: NodeOptions, { clock }: NodePorts): RunForever =>
  (name, start) => {
    const onRestart = (actor: string, error: BerthError): void => {
      telemetry.count("actorRestarts", { actor })
      logger.warn({ actor, code: error.code, error: error.message }, "actor restarted")
    }
    const fatal = (error: BerthError) => Effect.sync(() => onFatal(`${name}: ${error.message}`))
    return Effect.asVoid(Effect.forkScoped(supervised(start, { name, clock, onRestart }).pipe(Effect.catch(fatal))))
  }
