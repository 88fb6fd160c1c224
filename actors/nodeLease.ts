/**
 * Tells a cluster that this node is there, of whatever role, and which level of records it reads.
 *
 *   reads what is in force ──▶ tells ──▶ reads once more, and does both again for as long as it lives ──▶ takes it back
 *          │                                │
 *          └── beyond this program: SCHEMA_TOO_NEW, and nothing was written
 *
 *   NL1. Nothing is written to the log before the level in force is known, and none by who cannot read it (RL3).
 *   NL2. The level is read again after the first time: whoever raises it later has seen this node, or this node sees it raised.
 *   NL3. A node that was silent for too long was counted out. It looks at the level before it tells that it is back.
 *   NL4. A store that is away ends nothing.
 */
import { hostname } from "node:os"
import { Effect, type Scope } from "effect"
import type { BerthError } from "../core/errors.ts"
import { type NodeLeaseData, nodeLeaseMs, nodeLeaseName } from "../core/nodeLease.ts"
import { levelAfter, levelTooNew, RECORD_LEVEL_MAX } from "../core/recordLevel.ts"
import { type NodeOptions, type NodePorts, rolesOf } from "./roles/parts.ts"

const RENEWALS_PER_LEASE = 5
/** Taking back must not keep a node that stops while the store is away. */
const TAKE_BACK_MS_MAX = 1_000

/** Alone, there is nobody to tell, and the level is read once; in a cluster it fails later when the node has become too old. */
export const enterLevels = (
  options: NodeOptions,
  ports: Pick<NodePorts, "clock" | "leases" | "log">,
): Effect.Effect<Effect.Effect<never, BerthError>, BerthError, Scope.Scope> => {
  const { clock, leases, log } = ports
  const { config, nodeId, version } = options
  const name = nodeLeaseName(nodeId)
  const leaseMs = nodeLeaseMs(config.leaseMs)
  const data: NodeLeaseData = {
    level: RECORD_LEVEL_MAX,
    version,
    roles: rolesOf(options),
    host: hostname(),
    leaseMs,
  }

  const learn = Effect.flatMap(log.lastControl, (last) => {
    const level = levelAfter(last)
    log.raise(level)
    return level > RECORD_LEVEL_MAX ? Effect.fail(levelTooNew(level)) : Effect.void
  })
  if (leases === null) return Effect.as(learn, Effect.never)

  const stored = Effect.map(leases.read(name), (found) => (found?.holder === nodeId && !found.revoked ? found : null))
  /** NL3. What stands there is read each time, so an answer that was lost does no harm. */
  const tell = Effect.andThen(
    learn,
    Effect.flatMap(stored, (lease) =>
      lease === null ? leases.acquire(name, nodeId, data) : leases.renew(lease, data),
    ),
  )
  /** NL4. */
  const tellAgain = Effect.catch(Effect.asVoid(tell), (error) =>
    error.code === "SCHEMA_TOO_NEW" ? Effect.fail(error) : Effect.void,
  )
  const takeBack = Effect.flatMap(stored, (lease) => (lease === null ? Effect.void : leases.release(lease)))
  return Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.raceFirst(Effect.ignore(takeBack), clock.sleep(TAKE_BACK_MS_MAX)))
    yield* tell
    yield* learn
    return Effect.forever(Effect.andThen(clock.sleep(leaseMs / RENEWALS_PER_LEASE), tellAgain))
  })
}
