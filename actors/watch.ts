/**
 * One task from a sequence on: first what the log holds, then what comes, in one order.
 *
 *   WA1. Sequences grow; none is sent twice; none of the task's entries after `fromSeq` is left out (I7).
 *   WA2. Output that is not kept is sent without a sequence, and only to whoever watches at that moment.
 *   WA3. When the task is at rest and everything was sent, `end` is sent and the watch is over.
 *   WA4. Who does not follow gets what the log held when it asked, all of it and no more, however much is printed meanwhile.
 */
import { Effect, Queue, Stream } from "effect"
import { type BerthError, berthError } from "../core/errors.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import { BACKENDS_SUBJECT, liveOutputSubject, type Signals } from "../core/ports/signals.ts"
import type { LogEntry, OutputItem, OutputRecord, Seq } from "../core/record.ts"
import { isAtRest, type Status } from "../core/words.ts"
import type { BackendEvent, WatchEvent } from "./api.ts"
import type { Hub } from "./hub.ts"
import { NOTHING_KNOWN, viewOf } from "./view.ts"

const PAGE_ENTRIES = 200
const EVENTS_BUFFERED_MAX = 64

export interface WatchDeps {
  readonly log: EventLog["Service"]
  readonly signals: Signals["Service"]
  readonly hub: Hub
}

const itemEvent = (taskId: string, seq: Seq | null, { attempt, epoch }: OutputRecord, item: OutputItem): WatchEvent => {
  const where = { taskId, attempt, epoch }
  switch (item.type) {
    case "chunk":
      return { type: "output", seq, ...where, stream: item.stream, offset: item.offset, bytes: item.bytes }
    case "gap":
      return { type: "gap", seq: seq ?? 0, ...where, stream: item.stream, offset: item.offset, bytes: item.bytes }
    case "progress":
      return { type: "progress", seq: seq ?? 0, ...where, data: item.data, atMs: item.atMs }
  }
}

/** The events of one entry; an output record may hold several, and they share its sequence. */
export function eventsOf({ record, seq, subject }: LogEntry): readonly WatchEvent[] {
  const taskId = subject.split(".")[1] ?? ""
  if (record.kind === "output") return record.items.map((item) => itemEvent(taskId, seq, record, item))
  if (record.kind !== "task") return []
  const task = viewOf({ state: record.state, seq, outputPurged: false }, NOTHING_KNOWN)
  return [{ type: "state", seq, taskId, facts: record.facts.map(({ type }) => type), task }]
}

const restOf = ({ record }: LogEntry): Status | null => {
  if (record.kind === "task") return isAtRest(record.state.status) ? record.state.status : null
  return record.kind === "tombstone" ? (record.status as Status) : null
}

/** @param follow - false: over when everything was sent that the log holds now, with `end` only if the task is at rest */
export const watchTask = (
  deps: WatchDeps,
  taskId: string,
  fromSeq: Seq,
  follow = true,
): Stream.Stream<WatchEvent, BerthError> =>
  Stream.callback<WatchEvent, BerthError>(
    (queue) =>
      Effect.gen(function* () {
        let lastSeq = fromSeq
        let rest: Status | null = null
        let isCaughtUp = false
        const untilSeq = follow ? Number.POSITIVE_INFINITY : yield* deps.log.head
        const subscription = yield* deps.hub.subscribe(taskId)
        yield* deps.signals.subscribe(liveOutputSubject(taskId), (payload) => {
          const record = payload as OutputRecord
          // What is live now lies after everything that the log still has to tell.
          if (!isCaughtUp) return
          for (const item of record.items) Queue.offerUnsafe(queue, itemEvent(taskId, null, record, item))
        })

        const emit = (entry: LogEntry): Effect.Effect<void> =>
          Effect.gen(function* () {
            if (entry.seq <= lastSeq) return
            lastSeq = entry.seq
            if (entry.record.kind !== "output") rest = restOf(entry)
            for (const event of eventsOf(entry)) yield* Queue.offer(queue, event)
          })
        const readPages = Effect.gen(function* () {
          for (;;) {
            const page = yield* deps.log.readTask(taskId, lastSeq, PAGE_ENTRIES)
            for (const entry of page) if (entry.seq <= untilSeq) yield* emit(entry)
            if (page.length < PAGE_ENTRIES || page.some(({ seq }) => seq > untilSeq)) return
          }
        })

        for (const entry of (follow ? subscription.backlog : null) ?? []) yield* emit(entry)
        // Of what is under way the hub tells the rest. What was at rest may have been tried again since the hub heard of it, and
        // where nothing was new the log may be further: that only the log knows.
        if (lastSeq === fromSeq || rest !== null) {
          yield* readPages
          isCaughtUp = true
          // A watch that begins after the last record finds nothing to read and must still learn that all is over.
          const last = yield* deps.log.last(taskId)
          if (last === null) return yield* Effect.fail(berthError("NOT_FOUND", `there is no task ${taskId}`))
          if (last.seq <= lastSeq) rest = restOf(last)
        }
        isCaughtUp = true
        while (follow && rest === null) {
          const { entries, overflow } = yield* subscription.take
          if (overflow) yield* readPages
          else for (const entry of entries) yield* emit(entry)
        }
        if (rest !== null) yield* Queue.offer(queue, { type: "end", seq: lastSeq, taskId, status: rest })
        yield* Queue.end(queue)
      }).pipe(Effect.catch((error) => Queue.fail(queue, error))),
    { bufferSize: EVENTS_BUFFERED_MAX, strategy: "suspend" },
  )

/** Changes of backends from now on, for ever. A reader that is slow loses the oldest. */
const watchBackends = (signals: Signals["Service"]): Stream.Stream<BackendEvent, BerthError> =>
  Stream.callback<BackendEvent, BerthError>(
    (queue) =>
      signals
        .subscribe(BACKENDS_SUBJECT, (payload) => void Queue.offerUnsafe(queue, payload as BackendEvent))
        .pipe(Effect.catch((error) => Queue.fail(queue, error))),
    { bufferSize: EVENTS_BUFFERED_MAX, strategy: "sliding" },
  )

/** State events of every task that `mayWatch` allows, after a sequence, and changes of backends as they come, for ever. */
export const watchAll = (
  { log, signals }: Pick<WatchDeps, "log" | "signals">,
  fromSeq: Seq,
  mayWatch: (owner: string) => boolean,
): Stream.Stream<WatchEvent | BackendEvent, BerthError> =>
  Stream.merge(watchBackends(signals), watchStates(log, fromSeq, mayWatch))

const watchStates = (
  log: EventLog["Service"],
  fromSeq: Seq,
  mayWatch: (owner: string) => boolean,
): Stream.Stream<WatchEvent, BerthError> =>
  log
    .feed(fromSeq)
    .pipe(
      Stream.flatMap((entries) =>
        Stream.fromIterable(
          entries
            .filter(({ record }) => record.kind === "task" && mayWatch(record.state.owner))
            .flatMap((entry) => eventsOf(entry)),
        ),
      ),
    )
