import { Effect, Stream } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import type { LogEntry } from "../../core/record.ts"

/** At least the first `count` entries of the feed after a sequence. */
export const takeFeed = (
  log: EventLog["Service"],
  afterSeq: number,
  count: number,
): Effect.Effect<readonly LogEntry[], BerthError> =>
  Effect.gen(function* () {
    const entries: LogEntry[] = []
    yield* Stream.runForEachWhile(log.feed(afterSeq), (batch) =>
      Effect.sync(() => {
        entries.push(...batch)
        return entries.length < count
      }),
    )
    return entries
  })
