/**
 * The queue as a work-queue stream, a message's subject is `q.<pool>.<lane>.<task>`.
 *
 *   JQ1. One message per subject, and a second is refused: a repeat of a wake-up changes nothing.
 *   JQ2. A pull looks into the lanes in order without waiting, then waits for a hint, at most `LOOK_MS`: hints may be lost,
 *        and a delivery that comes back by itself has none.
 *
 *   JQ3. A stream that somebody deleted is made anew by who manages the cluster, at the next publish; the others get
 *        STORE_UNAVAILABLE until then. What was in it is in the log.
 *   JQ4. A broker that was killed may keep a message whose settling it has written in the consumer's state alone: it is never
 *        delivered again, and stands in the way of its task. Who publishes finds it below all that is settled, and removes it.
 *
 * A message that was given back and not yet taken again counts as held: the broker does not tell them apart.
 */
import { Effect, type Scope } from "effect"
import { asBerthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Delivery, Queue, WakeUp } from "../../core/ports/queue.ts"
import { LANES, type Lane } from "../../core/words.ts"
import { encodePayload } from "../shared/payload.ts"
import { deliveryOf } from "./delivery.ts"
import { isUnheard } from "./failure.ts"
import { type Hints, openHints } from "./hints.ts"
import { type Lanes, makeLanes } from "./lanes.ts"
import type { Link } from "./link.ts"
import { look } from "./pulls.ts"
import { remakeQueue } from "./streams.ts"
import { type Names, toToken } from "./token.ts"

const ACK_WAIT_MS = 30_000
/** The longest that a pull waits before it looks again. */
const LOOK_MS = 250
/** A hint may be faster than the replica that has the consumer: so often, and so soon, it is looked again. */
const EAGER_MS = 10
const EAGER_LOOKS = 3
const PUBLISHES_AT_ONCE = 64
/** Between two looks at a message that replicas have yet to agree on, and how many. */
const AGREE_MS = 20
const AGREE_TRIES_MAX = 10

type Publish = (wakeUp: WakeUp) => Effect.Effect<void, BerthError>
type Address = Pick<WakeUp, "pool" | "lane" | "taskId">

export const makeQueue = (
  link: Link,
  names: Names,
  clock: Clock["Service"],
  manages: boolean,
  ackWaitMs = ACK_WAIT_MS,
): Effect.Effect<Queue["Service"], BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const hints = yield* openHints(link, names, clock)
    const lanes = makeLanes(link, names, ackWaitMs)
    const publish = publishing(link, names, lanes, manages)
    return {
      publish: (wakeUps) =>
        Effect.gen(function* () {
          yield* Effect.forEach(wakeUps, publish, { concurrency: PUBLISHES_AT_ONCE, discard: true })
          for (const pool of new Set(wakeUps.map((wakeUp) => wakeUp.pool))) hints.tell(pool)
        }),
      pull: pulling(link, lanes, hints, clock),
      withdraw: (wakeUp) =>
        Effect.gen(function* () {
          const subject = yield* subjectOf(names, wakeUp)
          const there = yield* link.lastOf(names.queueStream, subject)
          if (there === null) return
          // What lies beyond the consumer's newest delivery was in nobody's hands yet.
          const { delivered } = yield* lanes.info(wakeUp.pool, wakeUp.lane)
          if (there.seq > delivered.stream_seq) yield* link.purge(names.queueStream, subject, there.seq + 1)
        }),
      waiting: (pool) =>
        Effect.map(
          Effect.forEach(LANES, (lane) =>
            // The consumer's own count of what it has not delivered lags behind the stream.
            Effect.all([storedIn(link, names, pool, lane), lanes.info(pool, lane)]).pipe(
              Effect.map(([stored, { num_ack_pending: held }]) => [lane, Math.max(0, stored - held)] as const),
            ),
          ),
          (counts) => Object.fromEntries(counts) as Record<Lane, number>,
        ),
    }
  })

/** Messages of a lane, held or not. The queue is shallow, so naming them all is cheap. */
const storedIn = (link: Link, names: Names, pool: string, lane: Lane): Effect.Effect<number, BerthError> =>
  link.look(`counting ${pool}'s lane ${lane}`, async () => {
    const filter = `${names.prefix}q.${toToken(pool)}.${lane}.*`
    const { state } = await link.jsm.streams.info(names.queueStream, { subjects_filter: filter })
    return Object.keys(state.subjects ?? {}).length
  })

const subjectOf = (names: Names, { pool, lane, taskId }: Address): Effect.Effect<string, BerthError> =>
  Effect.try({
    try: () => `${names.prefix}q.${toToken(pool)}.${lane}.${toToken(taskId)}`,
    catch: asBerthError,
  })

/**
 * Refused and not there: it was settled in between, and there is room now; or replicas have yet to agree on the one that is in
 * the way; or the broker is full.
 */
function publishing(link: Link, names: Names, lanes: Lanes, manages: boolean): Publish {
  const publish = (wakeUp: WakeUp, retriesLeft: number): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const subject = yield* subjectOf(names, wakeUp)
      const bytes = yield* Effect.try({ try: () => encodePayload(wakeUp), catch: asBerthError })
      yield* link.publish(subject, bytes).pipe(
        Effect.asVoid,
        Effect.catch((error) => {
          const again = retriesLeft > 0 ? Effect.delay(publish(wakeUp, retriesLeft - 1), AGREE_MS) : Effect.fail(error)
          if (manages && isUnheard(error)) return Effect.andThen(remakeQueue(link, names), again)
          if (error.code !== "STORAGE_FULL") return Effect.fail(error)
          return Effect.gen(function* () {
            const there = yield* link.lastOf(names.queueStream, subject)
            if (there === null) return yield* again
            // JQ4
            const { ack_floor: settled } = yield* lanes.info(wakeUp.pool, wakeUp.lane)
            if (there.seq > settled.stream_seq) return
            yield* link.purge(names.queueStream, subject, there.seq + 1)
            yield* again
          })
        }),
      )
    })
  return (wakeUp) => publish(wakeUp, AGREE_TRIES_MAX)
}

function pulling(link: Link, lanes: Lanes, hints: Hints, clock: Clock["Service"]): Queue["Service"]["pull"] {
  const pull = (
    pool: string,
    countMax: number,
    untilMonoMs: number,
    eager: number,
  ): Effect.Effect<readonly Delivery[], BerthError> =>
    Effect.gen(function* () {
      const heard = hints.heard(pool)
      const taken = yield* look(link, clock, lanes, pool, countMax)
      const leftMs = untilMonoMs - clock.monoMs()
      if (taken.length > 0 || leftMs <= 0) return taken.flatMap((message) => deliveryOf(link, hints, message))
      yield* hints.beyond(pool, heard, Math.min(leftMs, eager > 0 ? EAGER_MS : LOOK_MS))
      const next = hints.heard(pool) > heard ? EAGER_LOOKS : Math.max(0, eager - 1)
      return yield* pull(pool, countMax, untilMonoMs, next)
    })
  return (pool, countMax, waitMs) => Effect.suspend(() => pull(pool, countMax, clock.monoMs() + waitMs, 0))
}
