/**
 * One consumer for all readers of a node that have caught up: its entries are decoded once and stand in a bounded window. Who
 * is behind the window has a consumer of its own until it has caught up.
 *
 *   first reader ──▶ one consumer ──▶ window ──▶ readers near the head
 *                                        ▲ caught up │ fell behind
 *                     own consumer ──────┘           ▼ own consumer
 *
 *   SF1. Whoever changes between the two misses nothing and reads nothing twice: both go on after a sequence.
 *   SF2. While the broker is away readers near the head wait; then the consumer goes on where it was.
 *   SF3. An entry that this program cannot read is met by each reader itself, by a consumer of its own.
 *   SF4. What this node removed from the log is not shown from the window.
 */
import { Effect, Scope, Semaphore, Stream } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { LogEntry, Seq } from "../../core/record.ts"
import { Tail } from "../shared/tail.ts"
import { logFeed } from "./feed.ts"
import type { Link } from "./link.ts"

const BATCH_MAX = 1_000
const AGAIN_MS = 200

export interface SharedFeed {
  readonly after: (afterSeq: Seq) => Stream.Stream<readonly LogEntry[], BerthError>
  /** SF4: something was removed. */
  readonly removed: () => void
}

export interface SharedFeedOptions {
  readonly link: Link
  readonly clock: Clock["Service"]
  readonly stream: string
  readonly head: Effect.Effect<Seq, BerthError>
  readonly decode: (seq: Seq, subject: string, bytes: Uint8Array) => LogEntry
}

/** Undefined: the window does not reach back so far. */
type Next = Effect.Effect<readonly [readonly LogEntry[], null] | undefined, BerthError>
type Batches = Stream.Stream<readonly LogEntry[], BerthError>

const lastOf = (entries: readonly LogEntry[], otherwise: Seq): Seq => entries.at(-1)?.seq ?? otherwise

export const makeSharedFeed = (options: SharedFeedOptions): Effect.Effect<SharedFeed, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { clock, decode, head, link, stream } = options
    const scope = yield* Effect.scope
    const beginning = yield* Semaphore.make(1)
    let shared: Tail | null = null
    let isUnreadable = false

    const own = (afterSeq: Seq): Batches => logFeed({ link, clock, stream, decode }, afterSeq)

    const kept = (seq: Seq, subject: string, bytes: Uint8Array) => ({
      entry: decode(seq, subject, bytes),
      bytes: bytes.byteLength,
    })
    /** SF2: each time from where the window's head is by then. */
    const fill = (tail: Tail): Effect.Effect<void> =>
      Effect.suspend(() =>
        Stream.runForEach(logFeed({ link, clock, stream, decode: kept }, tail.head), (batch) =>
          Effect.sync(() => tail.push(batch)),
        ),
      ).pipe(
        Effect.catch((error) => {
          if (error.retryable) return clock.sleep(AGAIN_MS)
          isUnreadable = true
          tail.close()
          return Effect.never
        }),
      )

    const begun: Effect.Effect<Tail, BerthError> = beginning.withPermits(1)(
      Effect.gen(function* () {
        if (shared !== null) return shared
        const tail = new Tail(yield* head)
        yield* Scope.addFinalizer(
          scope,
          Effect.sync(() => tail.close()),
        )
        yield* Effect.forkIn(Effect.forever(fill(tail)), scope)
        shared = tail
        return tail
      }),
    )

    /** SF1: from the window for as long as it reaches back to where the reader is. */
    const near = (tail: Tail, afterSeq: Seq): Batches =>
      Stream.suspend(() => {
        let at = afterSeq
        const next: Next = Effect.suspend(() => {
          const found = tail.read(at, BATCH_MAX)
          if (found === null) return Effect.succeed(undefined)
          if (found.length === 0) return Effect.andThen(tail.pastHead(at), next)
          at = lastOf(found, at)
          return Effect.succeed([found, null] as const)
        })
        return Stream.concat(
          Stream.unfold(null, () => next),
          Stream.suspend(() => behind(tail, at)),
        )
      })

    const behind = (tail: Tail, afterSeq: Seq): Batches =>
      Stream.suspend(() => {
        let at = afterSeq
        const caughtUp = (entries: readonly LogEntry[]): boolean => {
          at = lastOf(entries, at)
          return tail.read(at, 1) !== null
        }
        return Stream.concat(
          own(afterSeq).pipe(Stream.takeUntil(caughtUp)),
          Stream.suspend(() => near(tail, at)),
        )
      })

    return {
      after: (afterSeq) =>
        Stream.unwrap(Effect.map(begun, (tail) => (isUnreadable ? own(afterSeq) : near(tail, afterSeq)))),
      removed: () => shared?.forgetWindow(shared.head),
    }
  })
