/**
 * Raw pulls. The client's own `fetch` does not send `no_wait`, so that an empty lane would cost its whole patience; the
 * broker answers this request at once, with messages or with a status.
 *
 *   PU1. A pull takes at most what it asked for and ends with the broker's status, or with a typed error, also when the
 *        connection is lost meanwhile.
 *   PU2. A message that arrives for a pull that was given up goes back at once, and so does what it had taken.
 *
 * Each pull has a subscription of its own: a message comes under the subject that it was stored with, so nothing else in it
 * says whose request it answers.
 */
import { createInbox, type Msg, type NatsConnection } from "@nats-io/transport-node"
import { Effect, Schedule } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import { LANES, type Lane } from "../../core/words.ts"
import type { Lanes } from "./lanes.ts"
import type { Link } from "./link.ts"

const ANSWER_MS = 5_000
/** Nobody answers for the consumer: it does not exist, or not yet on the server that we talk to. */
const NOBODY = 503
const UNHEARD_MS = 25
const UNHEARD_TRIES_MAX = 8
const NO_MESSAGES = 404
const BATCH_OVER = 408

/** Gives a message back for anybody, now. */
export const giveBack = (connection: NatsConnection, message: Msg): void => {
  if (message.reply !== undefined && message.reply !== "") connection.publish(message.reply, "-NAK")
}

/** What waits in a pool at this moment, higher lanes first, at most `countMax` messages. */
export const look = (
  link: Link,
  clock: Clock["Service"],
  lanes: Lanes,
  pool: string,
  countMax: number,
): Effect.Effect<readonly Msg[], BerthError> =>
  Effect.suspend(() => {
    const taken: Msg[] = []
    const onGivenUp = (message: Msg): void => giveBack(link.connection, message)
    const takeFrom = (lane: Lane): Effect.Effect<void, BerthError> =>
      Effect.flatMap(lanes.of(pool, lane), (consumer) =>
        pullNow(link, clock, { stream: lanes.stream, consumer, countMax: countMax - taken.length, onGivenUp }).pipe(
          // The broker may not know the consumer any more: it is made anew next time.
          Effect.tapError(() => Effect.sync(() => lanes.forget(pool))),
          Effect.map((more) => void taken.push(...more)),
        ),
      )
    return Effect.forEach(LANES, (lane) => (taken.length >= countMax ? Effect.void : takeFrom(lane)), {
      discard: true,
    }).pipe(
      Effect.as(taken),
      Effect.catch((error) => (taken.length > 0 ? Effect.succeed(taken) : Effect.fail(error))),
      Effect.onInterrupt(() => Effect.sync(() => taken.forEach((message) => giveBack(link.connection, message)))),
    )
  })

/** What the broker said instead of messages; its number is the cause. */
const refusedPull = (status: number): BerthError =>
  berthError("STORE_UNAVAILABLE", `pulling: the broker answered ${status}`, { cause: status })
const isUnheardPull = (error: BerthError): boolean => error.cause === NOBODY

interface Pull {
  readonly stream: string
  readonly consumer: string
  readonly countMax: number
  /** What becomes of a message that was taken for nobody (PU2). */
  readonly onGivenUp: (message: Msg) => void
}

/** What a consumer has to give at this moment. Servers of a cluster hear of a new one one after another, hence the patience. */
export const pullNow = (link: Link, clock: Clock["Service"], pull: Pull): Effect.Effect<readonly Msg[], BerthError> =>
  Effect.retry(Effect.andThen(link.up, take(link, clock, pull)), {
    times: UNHEARD_TRIES_MAX,
    while: isUnheardPull,
    schedule: Schedule.spaced(UNHEARD_MS),
  })

const take = (
  { connection, onLost, onRefused }: Link,
  clock: Clock["Service"],
  { consumer, countMax, onGivenUp, stream }: Pull,
): Effect.Effect<readonly Msg[], BerthError> =>
  Effect.callback<readonly Msg[], BerthError>((resume) => {
    const taken: Msg[] = []
    let arrived = 0
    let isGivenUp = false
    const inbox = createInbox()
    const subscription = connection.subscribe(inbox, {
      callback: (_error, message) => {
        const status = message.headers?.code ?? 0
        if (status !== 0) {
          return end(status === NO_MESSAGES || status === BATCH_OVER ? null : refusedPull(status))
        }
        arrived += 1
        if (isGivenUp) onGivenUp(message)
        else taken.push(message)
        if (arrived >= countMax) end(null)
      },
    })
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`
    const endings = [
      onRefused(subject, (error) => end(error)),
      onLost(() => end(berthError("STORE_UNAVAILABLE", "pulling: the connection to the broker was lost"))),
    ]
    const forget = (): void => endings.forEach((ending) => ending())
    const end = (error: BerthError | null): void => {
      forget()
      subscription.unsubscribe()
      // What came before a failure is in our hands all the same.
      resume(error === null || taken.length > 0 ? Effect.succeed(taken) : Effect.fail(error))
    }
    const request = JSON.stringify({ batch: countMax, no_wait: true })
    connection.publish(subject, request, { reply: inbox })
    return Effect.sync(() => {
      forget()
      isGivenUp = true
      taken.forEach(onGivenUp)
      // An answer that is still on its way is waited for, but not for ever: a broker that is away answers nothing.
      clock.after(ANSWER_MS, () => subscription.unsubscribe())
    })
  }).pipe(
    Effect.timeoutOrElse({
      duration: ANSWER_MS,
      orElse: () => Effect.fail(berthError("STORE_UNAVAILABLE", "pulling: the broker did not answer")),
    }),
  )
