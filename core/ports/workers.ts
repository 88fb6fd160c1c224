import { Context, type Effect } from "effect"
import type { BerthError } from "../errors.ts"
import type { Isolation } from "../words.ts"

/** What a worker tells about itself. */
export interface WorkerInfo {
  readonly worker: string
  readonly host: string
  readonly engineId: string | null
  readonly pool: string
  readonly slots: number
  /** Attempts in its hands. */
  readonly held: number
  /** Kinds of work it takes: runtime and image need a container executor. */
  readonly kinds: readonly string[]
  /** Kinds that it would take if their backend answered. */
  readonly kindsUnavailable: readonly string[]
  readonly handlers: readonly string[]
  /** Classes that its engine has; empty until the engine was asked, and where there is none. */
  readonly isolations: readonly Isolation[]
  readonly labels: Readonly<Record<string, string>>
  readonly draining: boolean
  /** False while its engine's breaker is open: it pulls nothing. */
  readonly accepting: boolean
  readonly version: string
  readonly startedAtMs: number
}

/**
 * Who is there. Guarantees, each a test in test/contract/workers.contract.ts:
 *
 *   W1. `put` replaces a worker's entry; `list` sees every put that returned before it began.
 *   W2. `remove` takes the entry away; removing twice is no error.
 */
export class Workers extends Context.Service<
  Workers,
  {
    readonly put: (info: WorkerInfo) => Effect.Effect<void, BerthError>
    readonly remove: (worker: string) => Effect.Effect<void, BerthError>
    readonly list: Effect.Effect<readonly WorkerInfo[], BerthError>
  }
>()("core/ports/Workers") {}
