/**
 * The wire to the broker, as whoever waits for an answer sees it. The client by itself lets a question that was under way when
 * the wire broke wait for its whole time, and takes questions while it is broken only to forget them.
 *
 *   WI1. A question that was under way when the wire broke ends at once, and nobody knows what became of it.
 *   WI2. While the wire is broken nothing is sent. Who asks then waits for the broker, at most `AWAY_MS`.
 *   WI3. A question that changes nothing is asked again every `AGAIN_MS` while no answer comes, `ASKED_MAX` times: a stream
 *        whose leader has died answers nobody, and its next leader does not know what was asked.
 */
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"

const AWAY_MS = 2_000
const AGAIN_MS = 1_000
const ASKED_MAX = 5

/** What a question ends with that was under way when the wire broke (WI1). */
class WireBroken extends Error {
  constructor() {
    super("the connection to the broker was lost before it answered")
  }
}

export class Wire {
  readonly #underWay = new Set<() => void>()
  #isUp = true
  #mended: (() => void)[] = []

  /** The connection was lost, or is there again. */
  turn(isUp: boolean): void {
    if (isUp === this.#isUp) return
    this.#isUp = isUp
    if (isUp) for (const resume of this.#mended.splice(0)) resume()
    else for (const broken of [...this.#underWay]) broken()
  }

  /** Calls back once when the wire breaks; returns what ends that. */
  onBroken(told: () => void): () => void {
    const once = (): void => {
      this.#underWay.delete(once)
      told()
    }
    this.#underWay.add(once)
    return () => void this.#underWay.delete(once)
  }

  /** The answer to a question; rejects when the wire breaks first (WI1). */
  carry<A>(question: () => Promise<A>): Promise<A> {
    return new Promise((resolve, reject) => {
      const forget = this.onBroken(() => reject(new WireBroken()))
      question().then(resolve, reject).finally(forget)
    })
  }

  /** Resolves while the wire is there (WI2). */
  readonly up: Effect.Effect<void, BerthError> = Effect.suspend(() => {
    if (this.#isUp) return Effect.void
    const mended = Effect.callback<void>((resume) => {
      const go = (): void => resume(Effect.void)
      this.#mended.push(go)
      return Effect.sync(() => {
        this.#mended = this.#mended.filter((one) => one !== go)
      })
    })
    const away = berthError("STORE_UNAVAILABLE", "there is no connection to the broker")
    return Effect.timeoutOrElse(mended, { duration: AWAY_MS, orElse: () => Effect.fail(away) })
  })
}

const isBroken = ({ cause }: BerthError): boolean => cause instanceof WireBroken

/**
 * The first answer to a question that changes nothing, however often it has to be asked (WI3). An answer that is an error counts.
 *
 * @param asked - one question; fails with what was wrong
 */
export const insisting = <A>(what: string, asked: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> => {
  const one: Effect.Effect<A, BerthError> = Effect.catch(asked, (error) =>
    isBroken(error) ? Effect.suspend(() => one) : Effect.fail(error),
  )
  const from = (left: number): Effect.Effect<A, BerthError> =>
    left === 0
      ? Effect.fail(berthError("STORE_UNAVAILABLE", `${what}: the broker did not answer`))
      : Effect.raceFirst(
          one,
          Effect.delay(
            Effect.suspend(() => from(left - 1)),
            AGAIN_MS,
          ),
        )
  return from(ASKED_MAX)
}
