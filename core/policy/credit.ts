import type { WorkerInfo } from "../ports/workers.ts"
import { type Route, takersOf } from "./route.ts"
import type { HeldSlot } from "./slots.ts"

/** What one pool may be given: how much in all, and who takes work there. */
export interface Credit {
  /** Slots of workers that take work, and the lookahead once. */
  readonly slots: number
  readonly workers: readonly WorkerInfo[]
}

/** Credit of every pool that has a worker which takes work now. A pool without one has none, and its tasks hold nothing. */
export function creditsOf(workers: readonly WorkerInfo[], lookahead: number): ReadonlyMap<string, Credit> {
  const credits = new Map<string, Credit>()
  for (const worker of workers) {
    if (!worker.accepting || worker.draining) continue
    const { slots, workers: others } = credits.get(worker.pool) ?? { slots: lookahead, workers: [] }
    credits.set(worker.pool, { slots: slots + worker.slots, workers: [...others, worker] })
  }
  return credits
}

/**
 * Where the tasks of one pool may go at one moment. A route that every worker of the pool takes goes to the pool's queue; one
 * that only some take goes straight to one of them, and only as far as those have room: it neither fills the pool with what
 * cannot start, nor waits behind what others could do.
 */
export class Placing {
  readonly #workers: readonly WorkerInfo[]
  readonly #room = new Map<string, number>()
  readonly #takers = new Map<string, readonly WorkerInfo[]>()

  /**
   * @param held - every slot that is held, with the worker that has it or that it was sent to
   * @param ahead - how many may wait at a worker beyond its slots: enough that one which only it can take gets its next slot
   */
  constructor(workers: readonly WorkerInfo[], held: Iterable<Pick<HeldSlot, "worker">>, ahead: number) {
    this.#workers = workers
    for (const { slots, worker } of workers) this.#room.set(worker, slots + Math.max(1, ahead))
    for (const { worker } of held) if (worker !== null) this.#room.set(worker, (this.#room.get(worker) ?? 0) - 1)
  }

  /** May one more of this route be admitted? */
  isOpen(route: Route): boolean {
    const takers = this.#takersOf(route)
    return takers.length > 0 && (takers.length === this.#workers.length || takers.some((one) => this.#roomOf(one) > 0))
  }

  /** Gives one of this route its worker; null: whoever of the pool pulls it first. */
  place(route: Route): string | null {
    const takers = this.#takersOf(route)
    if (takers.length === this.#workers.length) return null
    const [first] = takers
    if (first === undefined) return null
    const chosen = takers.reduce((best, next) => (this.#roomOf(next) > this.#roomOf(best) ? next : best), first)
    this.#room.set(chosen.worker, this.#roomOf(chosen) - 1)
    return chosen.worker
  }

  #roomOf({ worker }: WorkerInfo): number {
    return this.#room.get(worker) ?? 0
  }

  #takersOf(route: Route): readonly WorkerInfo[] {
    const known = this.#takers.get(route.key) ?? takersOf(route, this.#workers)
    this.#takers.set(route.key, known)
    return known
  }
}
