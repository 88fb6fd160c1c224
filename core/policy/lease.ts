/**
 * The arithmetic of a lease that nobody's wall clock decides: who holds one trusts it for less long than everybody else waits.
 *
 *   holder    sent ────────── trusted ──────────▶│ margin │
 *   watcher        seen ──────────── unchanged ───────────────── lease + grace ▶ revoke
 *
 *   LP1. A holder counts from before its renewal was sent, a watcher from after it saw the revision: whatever the way takes,
 *        the holder stops first, by at least margin + grace.
 *   LP2. Only times of one monotonic clock are compared, never two clocks.
 */
import type { Lease } from "../ports/leases.ts"

/** How long after `sent` a holder may act, and how often it asks again before that. */
export interface LeaseTimes {
  readonly leaseMs: number
  /** Kept back of the lease, to stop in what runs under it. */
  readonly marginMs: number
  /** Between two renewals. */
  readonly renewMs: number
  /** After that an answer counts as lost. */
  readonly answerMs: number
}

export const leaseTimes = (leaseMs: number): LeaseTimes => ({
  leaseMs,
  marginMs: Math.ceil(leaseMs / 4),
  renewMs: Math.floor(leaseMs / 5),
  answerMs: Math.ceil(leaseMs / 5),
})

/** Until when a lease may be acted under whose last successful renewal was sent at `sentMonoMs` (LP1). */
export const trustedUntilMonoMs = (sentMonoMs: number, { leaseMs, marginMs }: LeaseTimes): number =>
  sentMonoMs + leaseMs - marginMs

/** What a watcher has seen of leases: since when each has had the revision that it has. */
export class LeaseSightings {
  readonly #seen = new Map<string, { readonly revision: number; readonly sinceMonoMs: number }>()

  /** For how long this revision of the lease has been seen; 0 when it is new. */
  unchangedMs({ name, revision }: Pick<Lease, "name" | "revision">, nowMonoMs: number): number {
    const known = this.#seen.get(name)
    if (known?.revision === revision) return nowMonoMs - known.sinceMonoMs
    this.#seen.set(name, { revision, sinceMonoMs: nowMonoMs })
    return 0
  }

  /** Begins anew: what was not looked at for a while may have changed and been put back to silence since. */
  reset(): void {
    this.#seen.clear()
  }

  /** Forgets what is not there any more. */
  keepOnly(names: ReadonlySet<string>): void {
    for (const name of this.#seen.keys()) if (!names.has(name)) this.#seen.delete(name)
  }
}
