/**
 * A task's entries in log order: one by one from the stream's leader, and where there are many of them in one stream of
 * messages, through a consumer that is made for it.
 *
 *   PG1. A page ends where the leader says that nothing more is there: a consumer may live on a replica that lags.
 *   PG2. Of what a consumer tells, only what the leader had when it was asked is passed on: a replica may be ahead in telling,
 *        and then `last` would be older than what was shown (EL4).
 *   PG3. A message that was lost on the way ends what the consumer tells: places among its deliveries have no gap.
 *   PG4. Where the broker has no room for another consumer a page is read one by one.
 */
import { AckPolicy, DeliverPolicy } from "@nats-io/jetstream"
import { type Msg, nanos, nuid } from "@nats-io/transport-node"
import { Effect } from "effect"
import { asBerthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { LogEntry, Seq } from "../../core/record.ts"
import type { Stored } from "./answers.ts"
import { answeredWith } from "./failure.ts"
import type { Link } from "./link.ts"
import { pullNow } from "./pulls.ts"

/** Reads this many before a consumer pays: making one costs about as much as a dozen reads. */
const ONE_BY_ONE_MAX = 12
/** Messages of one request: bounds what a reader holds in memory. */
const PULL_MAX = 250
/** Tokens of a delivery's reply subject without a domain. */
const PLAIN_TOKENS = 9
/** A consumer that its maker forgot goes by itself. */
const IDLE_MS = 10_000
/** The broker's code for a stream, or an account, that has as many consumers as it may. */
const CONSUMERS_MAX_REACHED = 10026

export interface PageOptions {
  readonly link: Link
  readonly clock: Clock["Service"]
  readonly stream: string
  readonly decode: (seq: Seq, subject: string, bytes: Uint8Array) => LogEntry
}

/** Entries of a subject (it may have wildcards) after a sequence, at most `entriesMax`. */
export const readPage = (
  options: PageOptions,
  subject: string,
  afterSeq: Seq,
  entriesMax: number,
): Effect.Effect<readonly LogEntry[], BerthError> =>
  Effect.gen(function* () {
    const entries: LogEntry[] = []
    const seqOf = (): Seq => entries.at(-1)?.seq ?? afterSeq
    while (entries.length < entriesMax) {
      const few = yield* oneByOne(options, subject, seqOf(), Math.min(ONE_BY_ONE_MAX, entriesMax - entries.length))
      entries.push(...few)
      if (few.length < ONE_BY_ONE_MAX) return entries
      if (entries.length < entriesMax)
        entries.push(...(yield* atOnce(options, subject, seqOf(), entriesMax - entries.length)))
    }
    return entries
  })

const oneByOne = (
  { decode, link, stream }: PageOptions,
  subject: string,
  afterSeq: Seq,
  entriesMax: number,
): Effect.Effect<readonly LogEntry[], BerthError> =>
  Effect.gen(function* () {
    const entries: LogEntry[] = []
    while (entries.length < entriesMax) {
      const stored: Stored | null = yield* link.firstAfter(stream, subject, entries.at(-1)?.seq ?? afterSeq)
      if (stored === null) break
      entries.push(yield* decoding(() => decode(stored.seq, stored.subject, stored.data)))
    }
    return entries
  })

/** What a consumer gives of it without waiting: perhaps all, perhaps nothing (PG1, PG4). */
const atOnce = (
  { clock, decode, link, stream }: PageOptions,
  subject: string,
  afterSeq: Seq,
  entriesMax: number,
): Effect.Effect<readonly LogEntry[], BerthError> =>
  Effect.gen(function* () {
    const head = (yield* link.look("reading the log's head", () => link.jsm.streams.info(stream))).state.last_seq
    const entries: LogEntry[] = []
    yield* Effect.acquireUseRelease(
      makeConsumer(link, stream, subject, afterSeq),
      (consumer) =>
        Effect.gen(function* () {
          while (entries.length < entriesMax) {
            const asked = Math.min(PULL_MAX, entriesMax - entries.length)
            const messages = yield* pullNow(link, clock, { stream, consumer, countMax: asked, onGivenUp: () => {} })
            for (const message of messages) {
              const { seq, place } = deliveryOf(message)
              if (seq > head || place !== entries.length + 1) return
              entries.push(yield* decoding(() => decode(seq, message.subject, message.data)))
            }
            if (messages.length < asked) return
          }
        }),
      // Nobody waits for it: it goes by itself, too.
      (consumer) => Effect.sync(() => link.connection.publish(`$JS.API.CONSUMER.DELETE.${stream}.${consumer}`)),
    )
    return entries
  }).pipe(
    Effect.catchIf(
      (error) => answeredWith(error, CONSUMERS_MAX_REACHED),
      () => Effect.succeed([]),
    ),
  )

const makeConsumer = (link: Link, stream: string, subject: string, afterSeq: Seq): Effect.Effect<string, BerthError> =>
  Effect.map(
    link.ask(`reading ${subject}`, () =>
      link.jsm.consumers.add(stream, {
        // Without one the question goes to a subject that the shipped permissions do not allow.
        name: nuid.next(),
        filter_subject: subject,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: afterSeq + 1,
        ack_policy: AckPolicy.None,
        mem_storage: true,
        num_replicas: 1,
        inactive_threshold: nanos(IDLE_MS),
      }),
    ),
    ({ name }) => name,
  )

const decoding = <A>(body: () => A): Effect.Effect<A, BerthError> => Effect.try({ try: body, catch: asBerthError })

/**
 * `$JS.ACK.<stream>.<consumer>.<times>.<sequence>.<place among the consumer's deliveries>.…`, with two more tokens in front of
 * the stream on some servers.
 */
const deliveryOf = ({ reply = "" }: Msg): { readonly seq: Seq; readonly place: number } => {
  const tokens = reply.split(".")
  const at = tokens.length > PLAIN_TOKENS ? 7 : 5
  return { seq: Number(tokens[at]), place: Number(tokens[at + 1]) }
}
