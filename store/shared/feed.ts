import { Effect, Stream } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { LogEntry, Seq } from "../../core/record.ts"
import type { Tail } from "./tail.ts"

const BATCH_MAX = 1_000

/**
 * The log after `afterSeq`, in order, each entry once, for ever: pages until the reader has caught up, then the tail.
 * The position is the reader's own, so a slow reader costs nobody anything.
 *
 * @param page - reads entries after a sequence from the store itself
 */
export function feedFrom(
  tail: Tail,
  page: (afterSeq: Seq, entriesMax: number) => Effect.Effect<readonly LogEntry[], BerthError>,
  afterSeq: Seq,
): Stream.Stream<readonly LogEntry[], BerthError> {
  const next = (seq: Seq): Effect.Effect<readonly LogEntry[], BerthError> =>
    Effect.suspend(() => {
      const recent = tail.read(seq, BATCH_MAX)
      if (recent !== null) return recent.length > 0 ? Effect.succeed(recent) : waitAt(seq)
      // An empty page below the floor: all that was there has been removed. What comes is past the head of now.
      const head = tail.head
      return Effect.flatMap(page(seq, BATCH_MAX), (found) =>
        found.length > 0 ? Effect.succeed(found) : head > seq ? next(head) : waitAt(seq),
      )
    })
  const waitAt = (seq: Seq): Effect.Effect<readonly LogEntry[], BerthError> =>
    Effect.andThen(
      tail.pastHead(seq),
      Effect.suspend(() => next(seq)),
    )
  return Stream.unfold(afterSeq, (seq) =>
    Effect.map(next(seq), (entries) => [entries, (entries.at(-1) as LogEntry).seq] as const),
  )
}
