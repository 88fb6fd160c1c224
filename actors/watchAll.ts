/** What happens to all tasks, and to the backends. */
import { Effect, Queue, Stream } from "effect"
import type { BerthError } from "../core/errors.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import { BACKENDS_SUBJECT, type Signals } from "../core/ports/signals.ts"
import type { Seq } from "../core/record.ts"
import type { BackendEvent, Watching, WatchEvent } from "./api.ts"
import type { WatchDeps } from "./watch.ts"
import { eventsOf } from "./watchEvents.ts"

const BACKEND_EVENTS_MAX = 64

/** A stream as a watch. */
export const pouring =
  <E>(events: Stream.Stream<E, BerthError>): Watching<E> =>
  (sink) =>
    Stream.runForEach(events, (event) =>
      Effect.andThen(
        sink.room,
        Effect.sync(() => sink.put(event)),
      ),
    )

/** Changes of backends from now on, for ever. A reader that is slow loses the oldest. */
const watchBackends = (signals: Signals["Service"]): Stream.Stream<BackendEvent, BerthError> =>
  Stream.callback<BackendEvent, BerthError>(
    (queue) =>
      signals
        .subscribe(BACKENDS_SUBJECT, (payload) => void Queue.offerUnsafe(queue, payload as BackendEvent))
        .pipe(Effect.catch((error) => Queue.fail(queue, error))),
    { bufferSize: BACKEND_EVENTS_MAX, strategy: "sliding" },
  )

/** State events of every task that `mayWatch` allows, after a sequence, and changes of backends as they come, for ever. */
export const watchAll = (
  { log, signals }: Pick<WatchDeps, "log" | "signals">,
  fromSeq: Seq,
  mayWatch: (owner: string) => boolean,
): Watching<WatchEvent | BackendEvent> =>
  pouring(Stream.merge(watchBackends(signals), watchStates(log, fromSeq, mayWatch)))

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
