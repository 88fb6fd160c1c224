/**
 * Strict mode: programs of others only where the engine stands above every floor that `berth doctor` holds it against.
 *
 *   SM1. Asked once, before anything is opened: a start that is refused leaves nothing behind.
 *   SM2. What the engine does not say, and an engine that does not answer, is not above a floor.
 *   SM3. A server without a door, and a node that runs nothing, has no programs of others: it starts anywhere.
 */
import { Effect } from "effect"
import { engineFactsOf } from "../../actors/executor/docker/ping.ts"
import { type BerthError, berthError } from "../../core/errors.ts"
import type { ExecutorName } from "./choices.ts"
import { engineLines } from "./doctorFloors.ts"

interface Asked {
  readonly strict: boolean
  readonly executor: ExecutorName
  readonly engine: string
  /** Null: alone. */
  readonly cluster: { readonly roles: readonly string[] } | null
  /** Null: nobody else can submit here. */
  readonly door: object | null
}

/** SM3. */
const runsForOthers = ({ cluster, door, executor }: Asked): boolean =>
  executor !== "none" && (cluster === null ? door !== null : cluster.roles.includes("worker"))

const below = (what: string): Effect.Effect<never, BerthError> =>
  Effect.fail(berthError("SANDBOX_BELOW_FLOORS", `strict mode takes no programs of others here: ${what}`))

/** @throws BerthError SANDBOX_BELOW_FLOORS, BACKEND_UNAVAILABLE */
export const refuseBelowFloors = (options: Asked): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    if (!options.strict || !runsForOthers(options)) return
    if (options.executor === "process") return yield* below("the process executor isolates nothing")
    const lines = engineLines(yield* engineFactsOf(options.engine))
    const low = lines.filter(({ verdict }) => verdict !== "ok")
    if (low.length > 0) return yield* below(low.map(({ detail, name }) => `${name} ${detail}`).join("; "))
  })
