/**
 * The wire to the broker, as whoever waits for an answer sees it. The client by itself lets a question that was under way when
 * the wire broke wait for its whole time, and takes questions while it is broken only to forget them.
 *
 *   WI1. A question that was under way when the wire broke ends at once, and nobody knows what became of it.
 *   WI2. While the wire is broken nothing is sent. Who asks then waits for the broker, at most `AWAY_MS`.
 *   WI3. A question that changes nothing is asked again every `AGAIN_MS` while no answer comes, `ASKED_MAX` times: a stream
 *        whose leader has died answers nobody, and its next leader does not know what was asked.
 */
import { Effect, Exit } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"

const AWAY_MS = 2_000
const AGAIN_MS = 1_000
const ASKED_MAX = 5

/** Asks once and says how it ended, of which the first word counts; gives what ends the interest in it. */
export type Question<A> = (settle: (end: Exit.Exit<A, BerthError>) => void) => () => void

/** What a question ends with that was under way when the wire broke (WI1). */
export class WireBroken extends Error {
  constructor() {
    super("the connection to the broker was lost before it answered")
  }
}

export class Wire {
  readonly #underWay = new Set<() => void>()
  #isUp = true
  #mended: (() => void)[] = []

  get isUp(): boolean {
    return this.#isUp
  }

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

  /**
   * A question whose answer is a promise, which ends also when the wire breaks first (WI1).
   *
   * @param failed - what an error means
   */
  carried<A>(question: () => Promise<A>, failed: (cause: unknown) => BerthError): Question<A> {
    return (settle) => {
      const fail = (cause: unknown): void => settle(Exit.fail(failed(cause)))
      const forget = this.onBroken(() => fail(new WireBroken()))
      const settled =
        <B>(then: (value: B) => void) =>
        (value: B): void => {
          forget()
          then(value)
        }
      question().then(
        settled((answer) => settle(Exit.succeed(answer))),
        settled(fail),
      )
      return forget
    }
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

/** How a question ends that is asked once (WI2). */
export const asking = <A>(wire: Wire, question: Question<A>): Effect.Effect<A, BerthError> => {
  const asked = Effect.callback<A, BerthError>((resume) => Effect.sync(question(resume)))
  return Effect.suspend(() => (wire.isUp ? asked : Effect.andThen(wire.up, asked)))
}

/** The first answer to a question that changes nothing, however often it has to be asked (WI3). An answer that is an error counts. */
export const insisting = <A>(
  { clock, what, wire }: { readonly clock: Clock["Service"]; readonly what: string; readonly wire: Wire },
  question: Question<A>,
): Effect.Effect<A, BerthError> => {
  return Effect.suspend(() => {
    let asked = 0
    const repeated: Question<A> = (settle) => {
      let stopWaiting = (): void => {}
      const forgets: (() => void)[] = []
      const forget = (): void => {
        stopWaiting()
        for (const each of forgets) each()
      }
      const end = (how: Exit.Exit<A, BerthError>): void => {
        forget()
        settle(how)
      }
      const ask = (): void => {
        if (asked === ASKED_MAX)
          return end(Exit.fail(berthError("STORE_UNAVAILABLE", `${what}: the broker did not answer`)))
        asked += 1
        stopWaiting = clock.after(AGAIN_MS, ask)
        forgets.push(question(end))
      }
      ask()
      return forget
    }
    const untilMended: Effect.Effect<A, BerthError> = Effect.catch(asking(wire, repeated), (error) =>
      isBroken(error) ? untilMended : Effect.fail(error),
    )
    return untilMended
  })
}
