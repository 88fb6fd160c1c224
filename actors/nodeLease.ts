/**
 * Tells a cluster that this node is there, of whatever role, and which level of records it reads.
 *
 *   reads what is in force ──▶ tells ──▶ reads once more ──▶ renews … ──▶ takes it back
 *          ▲                               │ beyond this program: SCHEMA_TOO_NEW, and nothing was written
 *          └──── counted out meanwhile ◀───┘
 *
 *   NL1. Nothing is written to the log before the level in force is known, and none by who cannot read it (RL3).
 *   NL2. The level is read again after the lease was taken: whoever raises it later has seen this node, or this node sees it raised.
 *   NL3. A node that was silent for too long was counted out. It looks at the level anew before it tells that it is back.
 *   NL4. A store that is away ends nothing.
 */
import { hostname } from "node:os"
import { Effect, type Scope } from "effect"
import type { BerthError } from "../core/errors.ts"
import { type NodeLeaseData, nodeLeaseMs, nodeLeaseName } from "../core/nodeLease.ts"
import type { Lease } from "../core/ports/leases.ts"
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
  let held: Lease | null = null

  const learn = Effect.flatMap(log.lastControl, (last) => {
    const level = levelAfter(last)
    log.raise(level)
    return level > RECORD_LEVEL_MAX ? Effect.fail(levelTooNew(level)) : Effect.void
  })
  if (leases === null) return Effect.as(learn, Effect.never)

  /** An answer that was lost is found by the next. */
  const take = Effect.gen(function* () {
    const found = yield* leases.read(name)
    const isMine = found !== null && found.holder === nodeId && !found.revoked
    held = yield* isMine ? leases.renew(found, data) : leases.acquire(name, nodeId, data)
  })
  /** NL2. */
  const tell = Effect.andThen(take, learn)
  const renew = Effect.suspend(() => (held === null ? tell : Effect.asVoid(renewHeld(held))))
  const renewHeld = (lease: Lease): Effect.Effect<void, BerthError> =>
    Effect.map(leases.renew(lease, data), (renewed) => void (held = renewed))
  /** NL3, NL4. */
  const keep = Effect.catch(renew, (error) => {
    if (error.code === "VERSION_CONFLICT") return Effect.andThen(learn, tell)
    return Effect.fail(error)
  }).pipe(Effect.catch((error) => (error.code === "SCHEMA_TOO_NEW" ? Effect.fail(error) : Effect.void)))

  const takeBack = Effect.suspend(() =>
    held === null ? Effect.void : Effect.raceFirst(Effect.ignore(leases.release(held)), clock.sleep(TAKE_BACK_MS_MAX)),
  )
  return Effect.gen(function* () {
    yield* learn
    yield* Effect.addFinalizer(() => takeBack)
    yield* tell
    return Effect.forever(Effect.andThen(clock.sleep(leaseMs / RENEWALS_PER_LEASE), keep))
  })
}
