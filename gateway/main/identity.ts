/**
 * What all nodes of a cluster must agree on and nobody configures: its id, and a key. Whoever comes first makes both and
 * stores them by compare-and-set, as a lease that nobody gives back; all others read them.
 *
 *   CI1. Containers carry the id: a node never touches those of another cluster.
 *   CI2. The key signs tokens unless the operator gives one, so that each gateway takes the tokens of all. Whoever may read
 *        the broker's leases can then make tokens: who wants it otherwise gives every gateway a secret of his own (`BERTH_SECRET_FILE`).
 */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Leases } from "../../core/ports/leases.ts"

const IDENTITY = "cluster"
const KEY_BYTES = 32
const LOOK_MS = 250
const LOOKS_MAX = 120

export interface Identity {
  readonly id: string
  readonly key: Uint8Array
}

/** @param newId - null: this node may not make it, and waits for one that does */
export const clusterIdentity = (
  leases: Leases["Service"],
  clock: Clock["Service"],
  newId: (() => string) | null,
  looks = LOOKS_MAX,
): Effect.Effect<Identity, BerthError> =>
  Effect.gen(function* () {
    const stored = yield* leases.read(IDENTITY)
    if (stored !== null) return yield* identityOf(stored.data)
    if (looks === 0)
      return yield* Effect.fail(
        berthError("STORE_UNAVAILABLE", "the cluster has no identity yet", {
          hint: "Start a node with the role leader: it makes it.",
        }),
      )
    if (newId === null) yield* clock.sleep(LOOK_MS)
    else {
      const made = { id: newId(), key: randomBytes(KEY_BYTES).toString("base64url") }
      // Whoever lost the race, or the answer, reads what stands there now.
      yield* Effect.catch(leases.acquire(IDENTITY, "cluster", made), (error) =>
        error.retryable ? Effect.void : Effect.fail(error),
      )
    }
    return yield* clusterIdentity(leases, clock, newId, looks - 1)
  })

const identityOf = (data: unknown): Effect.Effect<Identity, BerthError> => {
  const { id, key } = data as { readonly id?: unknown; readonly key?: unknown }
  return typeof id === "string" && typeof key === "string"
    ? Effect.succeed({ id, key: Buffer.from(key, "base64url") })
    : Effect.fail(berthError("STORE_CORRUPT", "the cluster's identity is damaged"))
}
