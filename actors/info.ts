/** What a node says of itself: `system.info`, /ready and the gauges. Asks nobody far away, so that it also answers in trouble. */
import { Effect } from "effect"
import type { BerthError } from "../core/errors.ts"
import type { SystemInfo } from "./api.ts"
import type { Term } from "./leader/term.ts"
import type { Reading } from "./reading.ts"
import { type NodeOptions, type NodePorts, rolesOf } from "./roles/parts.ts"

export const systemInfo = (
  options: NodeOptions,
  { clock, leases, log }: NodePorts,
  {
    isWorking,
    reading,
    term,
  }: { readonly reading: Reading; readonly term: () => Term | null; readonly isWorking: () => boolean },
): Effect.Effect<SystemInfo, BerthError> =>
  Effect.gen(function* () {
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
