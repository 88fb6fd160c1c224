/**
 * One task from a sequence on: first what the log holds, then what comes, in one order.
 *
 *   WA1. Sequences grow; none is sent twice; none of the task's entries after `fromSeq` is left out (I7).
 *   WA2. Output that is not kept is sent without a sequence, and only to whoever watches at that moment.
 *   WA3. When the task is at rest and everything was sent, `end` is sent and the watch is over.
 *   WA4. Who does not follow gets what the log held when it asked, all of it and no more, however much is printed meanwhile.
 *   WA5. A task that has printed nothing is not listened to for live output: of each stream the beginning is kept, so the log
 *        tells of it first. Most tasks print little or nothing, and to listen is a question to the broker.
 *
 * What comes goes from the hub to the sink at once, without a step of the watch's own fiber; that one is woken where something
 * has to be waited for, or asked of the log.
 */
import { Effect } from "effect"
import { berthError } from "../core/errors.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import { liveOutputSubject, type Signals } from "../core/ports/signals.ts"
import type { LogEntry, OutputRecord, Seq } from "../core/record.ts"
import type { Status } from "../core/words.ts"
import type { Watching, WatchEvent, WatchSink } from "./api.ts"
import type { Hub } from "./hub.ts"
import { eventsOf, itemEvent, restOf } from "./watchEvents.ts"

const PAGE_ENTRIES = 200

export interface WatchDeps {
  readonly log: EventLog["Service"]
  readonly signals: Signals["Service"]
  readonly hub: Hub
}

/** How far a watch has come. */
class Place {
  lastSeq: Seq
  rest: Status | null = null
  /** WA5. */
  hasPrinted: boolean
  /** It came when there was no room. */
  late: LogEntry | null = null

  constructor(fromSeq: Seq, hasPrinted: boolean) {
    this.lastSeq = fromSeq
    this.hasPrinted = hasPrinted
  }

  /** The events of an entry that has not been told yet. */
  pass(entry: LogEntry): readonly WatchEvent[] {
    if (entry.record.kind === "output") this.hasPrinted = true
    if (entry.seq <= this.lastSeq) return []
    this.lastSeq = entry.seq
    if (entry.record.kind !== "output") this.rest = restOf(entry)
    return eventsOf(entry)
  }
}

/** @param follow - false: over when everything was sent that the log holds now, with `end` only if the task is at rest */
export const watchTask =
  (deps: WatchDeps, taskId: string, fromSeq: Seq, follow = true): Watching<WatchEvent> =>
  (sink) =>
    Effect.scoped(
      Effect.gen(function* () {
        const untilSeq = follow ? Number.POSITIVE_INFINITY : yield* deps.log.head
        const subscription = yield* deps.hub.subscribe(taskId)
        const backlog = follow ? subscription.backlog : null
        const place = new Place(fromSeq, backlog === null && fromSeq > 0)
        const send = (entry: LogEntry): Effect.Effect<void> => putAll(sink, place.pass(entry))

        const readPages = Effect.gen(function* () {
          for (;;) {
            const page = yield* deps.log.readTask(taskId, place.lastSeq, PAGE_ENTRIES)
            for (const entry of page) if (entry.seq <= untilSeq) yield* send(entry)
            if (page.length < PAGE_ENTRIES || page.some(({ seq }) => seq > untilSeq)) return
          }
        })

        for (const entry of backlog ?? []) {
          yield* send(entry)
          // Also of what was told before: where the watch begins after the last, it may have begun at the end.
          if (entry.record.kind !== "output") place.rest = restOf(entry)
        }
        // Of what is under way the hub tells the rest, if it knows the task from its first entry on. What was at rest may have been
        // tried again since the hub heard of it, and where nothing was known the log may be further: that only the log knows.
        const isBegun = backlog !== null && (backlog.at(-1)?.seq ?? 0) >= fromSeq
        if (!isBegun || place.rest !== null) {
          yield* readPages
          // A watch that begins after the last record finds nothing to read and must still learn that all is over.
          const last = yield* deps.log.last(taskId)
          if (last === null) return yield* Effect.fail(berthError("NOT_FOUND", `there is no task ${taskId}`))
          if (last.seq <= place.lastSeq) place.rest = restOf(last)
        }

        let listens = false
        /** False: what is now to be done takes longer, or all is done. */
        const tell = (entry: LogEntry): boolean => {
          if (sink.isFull()) {
            place.late = entry
            return false
          }
          for (const event of place.pass(entry)) sink.put(event)
          return place.rest === null && (listens || !place.hasPrinted)
        }
        while (follow && place.rest === null) {
          if (place.hasPrinted && !listens) {
            listens = true
            yield* hearLive(deps.signals, taskId, sink)
          }
          const { overflow } = yield* subscription.follow(tell)
          if (overflow) yield* readPages
          else if (place.late !== null) yield* send(place.late)
          place.late = null
        }
        if (place.rest !== null) sink.put({ type: "end", seq: place.lastSeq, taskId, status: place.rest })
      }),
    )

/** Sends events as there is room for each. */
const putAll = (sink: WatchSink<WatchEvent>, events: readonly WatchEvent[]): Effect.Effect<void> => {
  const from = (begin: number): Effect.Effect<void> => {
    for (let at = begin; at < events.length; at += 1) {
      if (sink.isFull())
        return Effect.andThen(
          sink.room,
          Effect.suspend(() => from(at)),
        )
      sink.put(events[at] as WatchEvent)
    }
    return Effect.void
  }
  return from(0)
}

/** What is live now lies after everything that the log still has to tell. */
const hearLive = (signals: Signals["Service"], taskId: string, sink: WatchSink<WatchEvent>) =>
  signals.subscribe(liveOutputSubject(taskId), (payload) => {
    const record = payload as OutputRecord
    for (const item of record.items) if (!sink.isFull()) sink.put(itemEvent(taskId, null, record, item))
  })
