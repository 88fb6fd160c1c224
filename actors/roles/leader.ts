/** The leader's role: one term after another here, or, in a cluster, whenever this node is elected. */
import { Effect, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Workers } from "../../core/ports/workers.ts"
import { makeElection } from "../leader/election.ts"
import { makeGuard } from "../leader/guard.ts"
import { makeSnapshots } from "../leader/snapshots.ts"
import { makeTerm, type Term } from "../leader/term.ts"
import type { Reading } from "../reading.ts"
import type { RunForever } from "../supervised.ts"
import type { NodeOptions, NodePorts } from "./parts.ts"

/** The registry is asked at every decision; one answer is good for so long. */
const WORKERS_TRUST_MS = 200

export interface LeaderRole {
  /** The term that runs here now; null: none does. */
  readonly term: () => Term | null
  /** Lets another node lead at once; where there is no other, the term goes on to the end. */
  readonly handOver: Effect.Effect<void>
}

/** A node that never decides anything. */
export const NO_LEADER: LeaderRole = { term: () => null, handOver: Effect.void }

export interface LeaderParts {
  readonly reading: Reading
  /** Whether this process's own worker holds a task; null for other workers, of which nothing is known here. */
  readonly workerHolds: (worker: string, taskId: string) => boolean | null
  readonly runForever: RunForever
}

export const startLeader = (
  options: NodeOptions,
  ports: NodePorts,
  { reading, runForever, workerHolds }: LeaderParts,
): Effect.Effect<LeaderRole, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { config, logger, telemetry } = options
    const { clock, leases, random, signals } = ports
    let current: Term | null = null

    const freshTerm = (workers: Workers["Service"]): Effect.Effect<never, BerthError> => {
      const term = makeTerm({
        ...ports,
        workers,
        config,
        node: options.nodeId,
        onAdmitted: (count) => telemetry.count("admitted", {}, count),
        workerHolds,
        onWorkerLost: (worker, detached) => {
          telemetry.count("workersLost")
          logger.warn({ worker, detached }, "worker's lease revoked")
        },
        onTaskLost: (taskId, why) => {
          telemetry.count("lost", { cause: "worker" })
          logger.warn({ taskId, why }, "task lost")
        },
        onLevel: (level) => logger.info({ level }, "everybody reads it: records are written at a higher level"),
        onNotRemoved: (taskId, { code, message }) =>
          logger.warn({ taskId, code, error: message }, "what retention would remove stays"),
        onRepair: (taskId, what) => {
          telemetry.count("repairs")
          logger.warn({ taskId, what }, "repaired")
        },
      })
      current = term
      return term.run
    }

    if (leases === null) {
      yield* runForever("leader", () => freshTerm(ports.workers))
      return { term: () => current, handOver: Effect.void }
    }

    const workers = remembered(ports.workers, clock)
    const snapshots = makeSnapshots(options, ports)
    const guard = makeGuard({
      election: makeElection({ leases, clock, node: options.nodeId, leaseMs: config.leaderLeaseMs }),
      leaseMs: config.leaderLeaseMs,
      clock,
      random,
      signals,
      logger,
      trouble: reading.trouble,
      isStuck: reading.isStuck,
      term: () => Effect.raceFirst(freshTerm(workers), snapshots),
      onTerm: () => telemetry.count("terms"),
    })
    yield* runForever("leader", () => guard.run)
    return { term: () => (guard.isLeading() ? current : null), handOver: guard.handOver }
  })

const remembered = (workers: Workers["Service"], clock: NodePorts["clock"]): Workers["Service"] => {
  let known: { readonly untilMonoMs: number; readonly list: Effect.Success<Workers["Service"]["list"]> } | null = null
  return {
    ...workers,
    list: Effect.suspend(() => {
      if (known !== null && clock.monoMs() < known.untilMonoMs) return Effect.succeed(known.list)
      const untilMonoMs = clock.monoMs() + WORKERS_TRUST_MS
      return Effect.tap(workers.list, (list) => Effect.sync(() => void (known = { untilMonoMs, list })))
    }),
  }
}
