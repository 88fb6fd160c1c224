/** What a node says of itself: `system.info`, /ready and the gauges. Waits for nobody far away, so that it also answers in trouble. */
import { Effect } from "effect"
import type { BerthError } from "../core/errors.ts"
import { NODE_LEASES, nodeLevelOf } from "../core/nodeLease.ts"
import { heldBackBy, RECORD_LEVEL_MAX } from "../core/recordLevel.ts"
import type { SystemInfo } from "./api.ts"
import { makeKnown } from "./known.ts"
import type { Term } from "./leader/term.ts"
import type { Reading } from "./reading.ts"
import { type NodeOptions, type NodePorts, rolesOf } from "./roles/parts.ts"

/** Nodes come and go seldom. */
const NODES_KEPT_MS = 2_000

export const systemInfo = (
  options: NodeOptions,
  { clock, leases, log }: NodePorts,
  {
    isWorking,
    reading,
    term,
  }: { readonly reading: Reading; readonly term: () => Term | null; readonly isWorking: () => boolean },
): Effect.Effect<SystemInfo, BerthError> => {
  const listed = leases === null ? null : Effect.map(leases.list(NODE_LEASES), (all) => all.map(nodeLevelOf))
  const known = listed === null ? Effect.succeed([]) : makeKnown(listed, clock, NODES_KEPT_MS)
  return Effect.gen(function* () {
    const nodes = (yield* known) ?? []
    const headSeq = yield* reading.head
    const checkpointSeq = yield* reading.reached
    const isDeciding = term()?.dispatcher.isDeciding() ?? false
    // Alone, nothing goes on without the leader; in a cluster another node may lead.
    const own = leases === null && !isDeciding ? "the leader has not read its log yet" : reading.trouble()
    const trouble = own ?? (isWorking() ? null : "the worker has not yet settled what another left")
    return {
      version: options.version,
      clusterId: options.clusterId,
      nodeId: options.nodeId,
      roles: rolesOf(options),
      store: options.store,
      durability: log.durability,
      leader: isDeciding,
      leaderNode: isDeciding ? options.nodeId : reading.leaderNode(),
      ready: trouble === null,
      trouble,
      headSeq,
      checkpointSeq,
      recordLevel: {
        inForce: log.level(),
        readable: RECORD_LEVEL_MAX,
        heldBackBy: heldBackBy(nodes, log.level()),
      },
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
    }
  })
}
