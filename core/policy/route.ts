/** What a task needs of the worker that takes it, and which workers have that. */
import type { WorkerInfo } from "../ports/workers.ts"
import type { Requires, TaskSpec } from "../task/spec.ts"
import type { Isolation } from "../words.ts"

/** Tasks of one route may go to the same workers, so they stand in one line. */
export interface Route {
  /** Names it: equal needs, equal keys. */
  readonly key: string
  readonly pool: string
  readonly kind: string
  /** What must be there. */
  readonly requires: Requires
  /** The class that the program runs in: workers that have it come first; where none has it, the engine refuses. */
  readonly isolation: Isolation | null
}

type Routed = Pick<TaskSpec, "pool" | "kind" | "target" | "isolation" | "requires">

export function routeOf({ isolation, kind, pool, requires = {}, target }: Routed): Route {
  const needs: Requires = kind === "handler" ? { ...requires, handler: target } : requires
  const labels = Object.entries(needs.labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  const extras = [needs.handler ?? "", needs.isolation ?? "", isolation ?? "", ...labels.flat()]
  const key = extras.every((extra) => extra === "") ? `${pool}/${kind}` : `${pool}/${kind}/${JSON.stringify(extras)}`
  return { key, pool, kind, requires: needs, isolation: isolation ?? null }
}

/** What a worker has, and does not lose while it lives. */
export type Possessions = Pick<WorkerInfo, "pool" | "handlers" | "isolations" | "labels">

/** Has this worker what the route requires, whether or not its engine answers now? */
export const meets = (worker: Possessions, { pool, requires }: Route): boolean =>
  worker.pool === pool &&
  (requires.handler === undefined || worker.handlers.includes(requires.handler)) &&
  (requires.isolation === undefined || worker.isolations.includes(requires.isolation)) &&
  Object.entries(requires.labels ?? {}).every(([name, value]) => worker.labels[name] === value)

/** The workers that can take tasks of a route now. */
export function takersOf(route: Route, workers: readonly WorkerInfo[]): readonly WorkerInfo[] {
  const able = workers.filter(
    (worker) => worker.accepting && !worker.draining && worker.kinds.includes(route.kind) && meets(worker, route),
  )
  const { isolation } = route
  const kept = isolation === null ? able : able.filter(({ isolations }) => isolations.includes(isolation))
  return kept.length > 0 ? kept : able
}
