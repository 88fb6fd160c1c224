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
  /**
   * What each answered last. One that does not answer now is still the engine that runs what it ran: if it were forgotten, a
   * worker that dies meanwhile would seem to have left nothing there.
   */
  readonly #known = new Map<ExecutorShape, readonly [id: string | null, isolations: readonly Isolation[]]>()

  constructor(executors: readonly ExecutorShape[], clock: Clock["Service"]) {
    this.#executors = executors
    this.#clock = clock
  }

  /** Identities of the engines that have answered. */
  get ids(): readonly string[] {
    return [...this.#known.values()].flatMap(([id]) => (id === null ? [] : [id]))
  }

  get isolations(): readonly Isolation[] {
    return [...new Set([...this.#known.values()].flatMap(([, isolations]) => isolations))]
  }

  /** Asks once; true when all have answered. */
  readonly learn: Effect.Effect<boolean> = Effect.suspend(() =>
    Effect.map(
      Effect.forEach(this.#executors, (executor) =>
        Effect.map(Effect.exit(Effect.all([executor.engineId, executor.isolations])), (answer) => {
          if (answer._tag === "Success") this.#known.set(executor, answer.value)
          return answer._tag === "Success"
        }),
      ),
      (answers) => !answers.includes(false),
    ),
  )

  readonly run: Effect.Effect<never> = Effect.forever(
    Effect.flatMap(
      Effect.suspend(() => this.learn),
      (all) => this.#clock.sleep(all ? AGAIN_MS : FIRST_MS),
    ),
  )
}
