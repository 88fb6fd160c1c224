/** The ports of one life: memory adapters behind the fault layer, and this life's own clock and chance. */
import { Effect, Layer, Stream } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { Clock } from "../../core/ports/clock.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Failpoints } from "../../core/ports/failpoints.ts"
import { type Delivery, Queue } from "../../core/ports/queue.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Random } from "../../core/ports/random.ts"
import { ReadModel } from "../../core/ports/readModel.ts"
import { Signals } from "../../core/ports/signals.ts"
import { Workers } from "../../core/ports/workers.ts"
import type { LogEntry } from "../../core/record.ts"
import { seededRandom } from "../support/clock.ts"
import type { Calls, Fault } from "./calls.ts"
import type { Invariants } from "./invariants.ts"
import type { Life, Schedule } from "./schedule.ts"

/** Where the wall clock of a simulation begins. */
export const WALL_START_MS = 1_750_000_000_000

const WRITE: readonly Fault[] = ["refused", "replyLost", "delayed"]
const READ: readonly Fault[] = ["refused", "delayed"]
const HINT: readonly Fault[] = ["refused", "replyLost", "delayed", "repeated"]

export const clockOf = (schedule: Schedule, life: Life | null): Clock["Service"] => ({
  nowMs: () => WALL_START_MS + schedule.nowMs + (life?.skewMs ?? 0),
  monoMs: () => schedule.nowMs,
  sleep: (ms) =>
    Effect.callback<void>((resume) => {
      if (life?.isOver === true) return
      const cancel = schedule.after(life, ms, () => resume(Effect.void))
      return Effect.sync(cancel)
    }),
  after: (ms, callback) => (life?.isOver === true ? () => {} : schedule.after(life, ms, callback)),
})

const faultyLog = ({ call, life }: Calls, log: EventLog["Service"], invariants: Invariants): EventLog["Service"] => {
  const seen = <A>(subject: string, append: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
    Effect.tap(append, (seq) =>
      Effect.map(log.after(subject, (seq as number) - 1), (entry) => invariants.appended(entry as LogEntry, life)),
    )
  return {
    ...log,
    append: (subject, expected, record) =>
      call(`append ${subject}`, seen(subject, log.append(subject, expected, record)), WRITE),
    appendOutput: (taskId, record) =>
      call(`output ${taskId}`, seen(`t.${taskId}.o`, log.appendOutput(taskId, record)), WRITE),
    last: (taskId) => call(`last ${taskId}`, log.last(taskId), READ),
    lastControl: call("lastControl", log.lastControl, READ),
    after: (subject, afterSeq) => call(`after ${subject}`, log.after(subject, afterSeq), READ),
    readTask: (taskId, afterSeq, most) => call(`readTask ${taskId}`, log.readTask(taskId, afterSeq, most), READ),
    head: call("head", log.head, READ),
    feed: (afterSeq) =>
      log.feed(afterSeq).pipe(Stream.mapEffect((entries) => call("feed", Effect.succeed(entries), READ))),
    purgeOutput: (taskId) => call(`purge ${taskId}`, log.purgeOutput(taskId), WRITE),
    entomb: (taskId, expected, stone) => call(`entomb ${taskId}`, log.entomb(taskId, expected, stone), WRITE),
    trimControl: (beforeSeq) => call("trimControl", log.trimControl(beforeSeq), WRITE),
    forget: (taskId) => call(`forget ${taskId}`, log.forget(taskId), WRITE),
  }
}

const faultyReadModel = ({ call }: Calls, model: ReadModel["Service"]): ReadModel["Service"] => ({
  ...model,
  checkpoint: call("checkpoint", model.checkpoint, READ),
  get: (taskId) => call(`row ${taskId}`, model.get(taskId), READ),
  list: (query) => call("list", model.list(query), READ),
  due: (nowMs, rowsMax) => call("due", model.due(nowMs, rowsMax), READ),
  nextDueAtMs: call("nextDue", model.nextDueAtMs, READ),
  scan: (status, afterId, rowsMax) => call(`scan ${status}`, model.scan(status, afterId, rowsMax), READ),
  counts: (owner) => call("counts", model.counts(owner), READ),
  endedBefore: (beforeMs, rowsMax, which) => call("endedBefore", model.endedBefore(beforeMs, rowsMax, which), READ),
  tombstonesBefore: (beforeMs, idsMax) => call("tombstones", model.tombstonesBefore(beforeMs, idsMax), READ),
})

const faultyQueue = ({ call }: Calls, queue: Queue["Service"], invariants: Invariants): Queue["Service"] => {
  const faultyDelivery = ({ ack, nak, wakeUp }: Delivery): Delivery => ({
    wakeUp,
    ack: call(
      `ack ${wakeUp.taskId}`,
      Effect.andThen(
        Effect.sync(() => invariants.acked(wakeUp)),
        ack,
      ),
      WRITE,
    ),
    nak: call(`nak ${wakeUp.taskId}`, nak, WRITE),
  })
  return {
    publish: (wakeUps) => call(`publish ${wakeUps.map((one) => one.taskId).join()}`, queue.publish(wakeUps), HINT),
    pull: (pool, countMax, waitMs) =>
      call("pull", Effect.void, READ).pipe(
        Effect.andThen(queue.pull(pool, countMax, waitMs)),
        Effect.map((deliveries) => deliveries.map(faultyDelivery)),
      ),
    withdraw: (wakeUp) => call(`withdraw ${wakeUp.taskId}`, queue.withdraw(wakeUp), WRITE),
    waiting: (pool) => call("waiting", queue.waiting(pool), READ),
  }
}

export interface Adapters {
  readonly log: EventLog["Service"]
  readonly readModel: ReadModel["Service"]
  readonly queue: Queue["Service"]
  readonly signals: Signals["Service"]
  readonly workers: Workers["Service"]
  readonly blobs: Blobs["Service"]
  /** Null: embedded. */
  readonly leases: Leases["Service"] | null
}

export function portsOf(schedule: Schedule, calls: Calls, adapters: Adapters, invariants: Invariants) {
  const { call, life } = calls
  const { blobs, leases, log, queue, readModel, signals, workers } = adapters
  const hear = (onSignal: (payload: unknown) => void, payload: unknown): void => {
    if (life.isOver) return
    if (life.pausedUntilMs <= schedule.nowMs) return onSignal(payload)
    schedule.add({ label: "signal heard", life, readyAtMs: 0, happen: () => onSignal(payload) })
  }
  const all = Layer.mergeAll(
    Layer.succeed(EventLog, faultyLog(calls, log, invariants)),
    Layer.succeed(ReadModel, faultyReadModel(calls, readModel)),
    Layer.succeed(Queue, faultyQueue(calls, queue, invariants)),
    Layer.succeed(Signals, {
      publish: (subject, payload) => call(`signal ${subject}`, signals.publish(subject, payload), HINT),
      subscribe: (subject, onSignal) => signals.subscribe(subject, (payload) => hear(onSignal, payload)),
    }),
    Layer.succeed(Workers, {
      put: (info) => call("register", workers.put(info), WRITE),
      remove: (worker) => call("unregister", workers.remove(worker), WRITE),
      list: call("workers", workers.list, READ),
    }),
    Layer.succeed(Blobs, {
      ...blobs,
      put: (key, bytes) => call(`put ${key}`, blobs.put(key, bytes), WRITE),
      get: (key) => call(`get ${key}`, blobs.get(key), READ),
      removePrefix: (prefix) => call(`remove ${prefix}`, blobs.removePrefix(prefix), WRITE),
    }),
    Layer.succeed(Clock, clockOf(schedule, life)),
    Layer.succeed(Random, seededRandom(schedule.seed * 1_000 + Number(life.name.slice(1)))),
    // A place where a process may die is a place where anything else may happen first.
    Layer.succeed(Failpoints, { hit: (name) => Effect.ignore(call(name, Effect.void, ["delayed"])) }),
  )
  return leases === null ? all : Layer.merge(all, Layer.succeed(Leases, leases))
}
