import type { WorkerInfo } from "../ports/workers.ts"
import { routeOf } from "./waiting.ts"

/** What one pool may be given: how much in all, and by which routes. */
export interface Credit {
  /** Slots of workers that take work, and the lookahead once. */
  readonly slots: number
  readonly routes: readonly string[]
}

/** Credit of every pool that has a worker which takes work now. A pool without one has none, and its tasks hold nothing. */
export function creditsOf(workers: readonly WorkerInfo[], lookahead: number): ReadonlyMap<string, Credit> {
  const credits = new Map<string, Credit>()
  for (const { accepting, draining, kinds, pool, slots } of workers) {
    if (!accepting || draining) continue
    const sofar = credits.get(pool) ?? { slots: lookahead, routes: [] }
    const routes = new Set([...sofar.routes, ...kinds.map((kind) => routeOf(pool, kind))])
    credits.set(pool, { slots: sofar.slots + slots, routes: [...routes] })
  }
  return credits
}
