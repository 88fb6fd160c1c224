/**
 * The log in order from a sequence, for ever, over an ordered consumer: one that the client makes anew from where it was
 * whenever the broker lost it or a message did not arrive.
 *
 *   consumer ──quiet, and the log has more──▶ one by one ──a consumer can be had──▶ consumer
 *
 *   F1. Each entry once and in log order; a purged one is not there, and nothing stands in for it.
 *   F2. A reader that does nothing asks for nothing: at most one request of messages waits in memory.
 *   F3. Nobody waits for what is still on its way: a batch is what has arrived.
 *   F4. Closing the scope ends the consumer, at the broker too, also while it waits.
 *   F5. A consumer lives on one server and dies with it, which its client takes many seconds to notice. So when nothing came for
 *       a while, the stream's leader is asked whether there is more; then what there is is read one by one, as long as no
 *       consumer brings it.
 */
import { Effect, Result, type Scope, Stream } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Seq } from "../../core/record.ts"
import type { Stored } from "./answers.ts"
import { type Arrivals, Opening } from "./feedConsumer.ts"
import { storeError } from "./failure.ts"
import type { Link } from "./link.ts"

/** Without a message for so long the log is asked. */
const QUIET_MS = 1_000
/** A consumer that the log overtook is waited for so long; then there is another. */
const SILENT_MS_MAX = 3_000
/** Messages read one by one before another consumer is tried. */
const STEPS_MAX = 100
/** Between two looks while there is no consumer, or a silent one. */
const STEP_MS = 50
/** After a consumer that could not be had. */
const AGAIN_MS = 500
const ANY = ">"

type Message = Pick<Stored, "seq" | "subject" | "data">

export interface FeedOptions<A> {
  readonly link: Link
  readonly clock: Clock["Service"]
  readonly stream: string
  readonly decode: (seq: Seq, subject: string, bytes: Uint8Array) => A
}

export const logFeed = <A>(options: FeedOptions<A>, afterSeq: Seq): Stream.Stream<readonly A[], BerthError> =>
  Stream.unwrap(
    Effect.map(follow(options, afterSeq), (follower) => {
      const decoded = (found: readonly Message[]): readonly A[] =>
        found.map((each) => options.decode(each.seq, each.subject, each.data))
      const batch = Effect.flatMap(follower.next, (found) => Effect.try({ try: () => decoded(found), catch: failed }))
      return Stream.unfold(null, () => Effect.map(batch, (entries) => [entries, null] as const))
    }),
  )

const failed = storeError("following the log")
const follow = (
  options: Omit<FeedOptions<unknown>, "decode">,
  afterSeq: Seq,
): Effect.Effect<Follower, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new Follower(options, afterSeq)),
    (made) => Effect.sync(() => made.drop()),
  )

class Follower {
  readonly #options: Omit<FeedOptions<unknown>, "decode">
  #position: Seq
  #arrivals: Arrivals | null = null
  #opening: Opening | null = null
  /** Since when the log has overtaken the consumer; null: it has not. */
  #silentSinceMonoMs: number | null = null

  constructor(options: Omit<FeedOptions<unknown>, "decode">, afterSeq: Seq) {
    this.#options = options
    this.#position = afterSeq
  }

  drop(): void {
    this.#arrivals?.stop()
    this.#arrivals = null
    this.#opening?.abandon()
    this.#opening = null
  }

  /** At least one message, as soon as there is one. */
  readonly next: Effect.Effect<readonly Message[], BerthError> = Effect.suspend(() =>
    Effect.gen({ self: this }, function* () {
      for (;;) {
        const found = this.#arrivals === null ? yield* this.#steps() : yield* this.#delivered(this.#arrivals)
        this.#position = found.at(-1)?.seq ?? this.#position
        if (found.length > 0) return found
      }
    }),
  )

  #delivered(arrivals: Arrivals): Effect.Effect<readonly Message[], BerthError> {
    const { clock } = this.#options
    return Effect.gen({ self: this }, function* () {
      const quietMs = this.#silentSinceMonoMs === null ? QUIET_MS : STEP_MS
      const batch = yield* Effect.tryPromise({ try: () => arrivals.batch(clock, quietMs), catch: failed })
      if (batch === "over")
        return yield* Effect.fail(berthError("STORE_UNAVAILABLE", "following the log: the broker ended the feed"))
      if (batch !== "quiet") {
        this.#silentSinceMonoMs = null
        // What was read meanwhile comes a second time.
        return batch.filter(({ seq }) => seq > this.#position)
      }
      // F5
      const found = yield* this.#stored()
      if (found.length > 0) this.#silentSinceMonoMs ??= clock.monoMs()
      if (clock.monoMs() - (this.#silentSinceMonoMs ?? clock.monoMs()) > SILENT_MS_MAX) {
        this.#silentSinceMonoMs = null
        this.drop()
      }
      return found
    })
  }

  /** Without a consumer: one as soon as it can be had, and meanwhile what the log has. */
  #steps(): Effect.Effect<readonly Message[], BerthError> {
    const { clock, link, stream } = this.#options
    return Effect.gen({ self: this }, function* () {
      const isNew = this.#opening === null
      const opening = (this.#opening ??= new Opening(link, stream, this.#position))
      const opened = yield* Effect.raceFirst(opening.done, Effect.as(clock.sleep(isNew ? QUIET_MS : STEP_MS), null))
      if (opened !== null) this.#opening = null
      if (opened !== null && Result.isSuccess(opened)) {
        this.#arrivals = opened.success
        return []
      }
      const found = yield* this.#stored()
      if (opened === null) return found
      if (!opened.failure.retryable) return yield* Effect.fail(opened.failure)
      if (found.length === 0) yield* clock.sleep(AGAIN_MS)
      return found
    })
  }

  #stored(): Effect.Effect<readonly Message[], BerthError> {
    return Effect.gen({ self: this }, function* () {
      const found: Message[] = []
      while (found.length < STEPS_MAX) {
        const message: Message | null = yield* this.#after(found.at(-1)?.seq ?? this.#position)
        if (message === null) break
        found.push(message)
      }
      return found
    })
  }

  #after(seq: Seq): Effect.Effect<Message | null, BerthError> {
    return this.#options.link.firstAfter(this.#options.stream, ANY, seq)
  }
}
