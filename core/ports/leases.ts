import { Context, type Effect } from "effect"
import type { BerthError } from "../errors.ts"

export interface Lease {
  readonly name: string
  readonly holder: string
  /** Grows with every change; compare-and-set goes by it. */
  readonly revision: number
  /** What the holder lists, e.g. the (task, epoch) pairs that it holds. */
  readonly data: unknown
  readonly revoked: boolean
}

/**
 * The right to act, by compare-and-set. Nobody's clock is compared with anybody else's. Guarantees, each a test in
 * test/contract/leases.contract.ts:
 *
 *   LE1. `acquire` wins only where there is no lease, or one that was revoked or released; of many at once one wins.
 *   LE2. `renew`, `revoke` and `release` act on exactly the given revision, else VERSION_CONFLICT.
 *   LE3. After `revoke` the old holder's renewal conflicts.
 *   LE4. `read` sees every change that returned before it began.
 *   LE5. Nothing expires by itself: there is no time to live, and the store's clock is never asked.
 *   LE6. `list` gives all leases whose name begins with a prefix, revoked ones included until released.
 */
export class Leases extends Context.Service<
  Leases,
  {
    readonly acquire: (name: string, holder: string, data: unknown) => Effect.Effect<Lease, BerthError>
    readonly renew: (lease: Lease, data: unknown) => Effect.Effect<Lease, BerthError>
    readonly revoke: (lease: Lease) => Effect.Effect<Lease, BerthError>
    readonly release: (lease: Lease) => Effect.Effect<void, BerthError>
    readonly read: (name: string) => Effect.Effect<Lease | null, BerthError>
    readonly list: (prefix: string) => Effect.Effect<readonly Lease[], BerthError>
  }
>()("core/ports/Leases") {}
