/**
 * The log in order from a sequence, for ever, over an ordered consumer: one that the client makes anew from where it was
 * whenever the broker lost it or a message did not arrive.
 *
 *   F1. Each entry once and in log order; a purged one is not there, and nothing stands in for it.
 *   F2. A reader that does nothing asks for nothing: at most one request of messages waits in memory.
 *   F3. Nobody waits for what is still on its way: a batch is what has arrived.
 *   F4. Closing the scope ends the consumer, also while it waits.
 */
import { type ConsumerMessages, DeliverPolicy, type JsMsg } from "@nats-io/jetstream"
import { Effect, type Scope, Stream } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Seq } from "../../core/record.ts"
import { storeError } from "./failure.ts"
import type { Link } from "./link.ts"

const BATCH_MAX = 1_000
const BATCH_BYTES_MAX = 8 * 1024 * 1024
/** Messages asked for at a time. */
const REQUEST_MAX = 500
/** How long one request stands; half of it without a sign of life makes the consumer anew. */
const REQUEST_MS = 5_000

export const logFeed = <A>(
  link: Link,
  stream: string,
  afterSeq: Seq,
  decode: (seq: Seq, subject: string, bytes: Uint8Array) => A,
): Stream.Stream<readonly A[], BerthError> =>
  Stream.unwrap(
    Effect.map(consume(link, stream, afterSeq), (messages) => {
      const nextBatch = batches(messages[Symbol.asyncIterator]())
      const failed = storeError("following the log")
      const batch = Effect.tryPromise({ try: nextBatch, catch: failed }).pipe(
        Effect.flatMap((found) =>
          found.length === 0
            ? Effect.fail(berthError("STORE_UNAVAILABLE", "following the log: the broker ended the feed"))
            : Effect.try({ try: () => found.map((each) => decode(each.seq, each.subject, each.data)), catch: failed }),
        ),
      )
      return Stream.unfold(null, () => Effect.map(batch, (entries) => [entries, null] as const))
    }),
  )

const consume = (link: Link, stream: string, afterSeq: Seq): Effect.Effect<ConsumerMessages, BerthError, Scope.Scope> =>
  Effect.acquireRelease(
    link.ask("following the log", async () => {
      const consumer = await link.js.consumers.get(stream, {
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: afterSeq + 1,
      })
      return consumer.consume({ max_messages: REQUEST_MAX, expires: REQUEST_MS })
    }),
    // Nobody waits for the broker's last word: the consumer also ends by itself.
    (messages) => Effect.sync(() => messages.stop()),
  )

/**
 * Batches of what has arrived: F3. However fast others write, a reader hears at once what came first. The message that is
 * waited for when a batch ends begins the next one.
 */
function batches(iterator: AsyncIterator<JsMsg>): () => Promise<readonly JsMsg[]> {
  let waitedFor: Promise<IteratorResult<JsMsg>> | null = null
  return async () => {
    const batch: JsMsg[] = []
    let bytes = 0
    let arrived = await (waitedFor ?? iterator.next())
    waitedFor = null
    const over = new Promise<null>((resolve) => setImmediate(resolve, null))
    while (arrived.done !== true) {
      batch.push(arrived.value)
      bytes += arrived.value.data.byteLength
      if (batch.length >= BATCH_MAX || bytes >= BATCH_BYTES_MAX) break
      waitedFor = iterator.next()
      // It fails for the next batch; until then nobody listens.
      waitedFor.catch(() => {})
      const next = await Promise.race([waitedFor, over])
      if (next === null) break
      waitedFor = null
      arrived = next
    }
    return batch
  }
}
