import { Effect, Option } from "effect"
import type { Config } from "../../core/config.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { Clock } from "../../core/ports/clock.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import type { ExecutorShape } from "../../core/ports/executor.ts"
import { Failpoints } from "../../core/ports/failpoints.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Queue } from "../../core/ports/queue.ts"
import { Random } from "../../core/ports/random.ts"
import { ReadModel } from "../../core/ports/readModel.ts"
import type { SnapshotSource } from "../../core/ports/snapshots.ts"
import { Signals } from "../../core/ports/signals.ts"
import { Workers } from "../../core/ports/workers.ts"
import type { Logger, Telemetry } from "../../core/telemetry.ts"
import { type Role, ROLES } from "../../core/words.ts"
import type { SystemInfo } from "../api.ts"
import type { Backend } from "../executor/stack/backend.ts"
import { Programs } from "../programs.ts"
import type { ProcessIdentity } from "../../core/workerLease.ts"
import { Turns } from "../turns.ts"

export interface NodeOptions {
  readonly config: Config
  readonly clusterId: string
  readonly nodeId: string
  readonly version: string
  readonly startedAtMs: number
  readonly store: SystemInfo["store"]
  readonly executors: readonly ExecutorShape[]
  readonly handlers: readonly string[]
  /** Everything that has a breaker of its own. */
  readonly backends: readonly Backend[]
  readonly executorDetail: (name: string) => Readonly<Record<string, unknown>>
  readonly logger: Logger
  readonly telemetry: Telemetry
  /** The node cannot go on: its process should end, and a successor adopts what runs. */
  readonly onFatal: (reason: string) => void
  /** Default: all of them. */
  readonly roles?: readonly Role[]
  /** Of the worker. Default `default`. */
  readonly pool?: string
  /** Of the worker: what tasks may require. */
  readonly labels?: Readonly<Record<string, string>>
  /** Who this process is among all processes. Default: what the host's table of processes says. */
  readonly process?: ProcessIdentity
  /** Of a read model that a projector feeds; left out: none are made. */
  readonly snapshots?: SnapshotSource
}

export const rolesOf = ({ roles = ROLES }: Pick<NodeOptions, "roles">): readonly Role[] =>
  ROLES.filter((role) => roles.includes(role))

/** Every port of a node, taken out of the context once. */
export const nodePorts = Effect.gen(function* () {
  return {
    log: yield* EventLog,
    readModel: yield* ReadModel,
    queue: yield* Queue,
    signals: yield* Signals,
    workers: yield* Workers,
    blobs: yield* Blobs,
    clock: yield* Clock,
    random: yield* Random,
    /** Null where the lock of the data directory is the lease: nobody else can be there, and a predecessor is surely gone. */
    leases: Option.getOrNull(yield* Effect.serviceOption(Leases)),
    failpoints: yield* Failpoints,
    turns: yield* Turns,
    programs: yield* Programs,
  }
})
export type NodePorts = Effect.Success<typeof nodePorts>
