import { Effect } from "effect"
import type { Clock } from "../../core/ports/clock.ts"
import type { ExecutorShape } from "../../core/ports/executor.ts"
import type { Isolation } from "../../core/words.ts"

/** Between two questions for what an engine has: while it has not answered yet, and afterwards. */
const FIRST_MS = 1_000
const AGAIN_MS = 30_000

/** What a worker knows of its engines; asked apart from everything else, so that one that hangs holds nobody up. */
export class Engines {
  readonly #executors: readonly ExecutorShape[]
  readonly #clock: Clock["Service"]
  /** Identities of the engines that have answered. */
  ids: readonly string[] = []
  isolations: readonly Isolation[] = []

  constructor(executors: readonly ExecutorShape[], clock: Clock["Service"]) {
    this.#executors = executors
    this.#clock = clock
  }

  /** Asks once; true when all have answered. */
  readonly learn: Effect.Effect<boolean> = Effect.suspend(() =>
    Effect.map(
      Effect.forEach(this.#executors, (executor) => Effect.exit(Effect.all([executor.engineId, executor.isolations]))),
      (answers) => {
        const known = answers.flatMap((answer) => (answer._tag === "Success" ? [answer.value] : []))
        this.ids = known.map(([id]) => id).filter((id) => id !== null)
        this.isolations = [...new Set(known.flatMap(([, isolations]) => isolations))]
        return known.length === answers.length
      },
    ),
  )

  readonly run: Effect.Effect<never> = Effect.forever(
    Effect.flatMap(
      Effect.suspend(() => this.learn),
      (all) => this.#clock.sleep(all ? AGAIN_MS : FIRST_MS),
    ),
  )
}
