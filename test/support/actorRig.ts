/** The ports in memory, with time, chance and faults in the test's hands, and the actors' services over them. */
import { createHash } from "node:crypto"
import { Effect, Layer } from "effect"
import { Programs, programsLayer } from "../../actors/programs.ts"
import { Turns, turnsLayer } from "../../actors/turns.ts"
import { type ConfigInput, resolveConfig } from "../../core/config.ts"
import { type BerthError, berthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { Clock } from "../../core/ports/clock.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { type Failpoint, Failpoints } from "../../core/ports/failpoints.ts"
import { Queue } from "../../core/ports/queue.ts"
import { Random } from "../../core/ports/random.ts"
import { ReadModel } from "../../core/ports/readModel.ts"
import { Signals } from "../../core/ports/signals.ts"
import { Workers, type WorkerInfo } from "../../core/ports/workers.ts"
import { stateSubject, type TaskRecord } from "../../core/record.ts"
import type { TaskState } from "../../core/task/state.ts"
import {
  makeMemoryBlobs,
  makeMemoryQueue,
  makeMemorySignals,
  makeMemoryStore,
  makeMemoryWorkers,
} from "../../store/memory/index.ts"
import { armedFailpoints, liveClock, manualClock, seededRandom } from "./clock.ts"
import { submitted, type TaskOptions } from "./task.ts"

type LogCall = "append" | "appendOutput" | "last" | "after" | "readTask" | "head"

/** How the next calls of one operation of the log go wrong. */
export type LogFault =
  /** Nothing is done. */
  | { readonly type: "refused"; readonly times: number; readonly error?: BerthError }
  /** It is done, and the caller is told that it was not. */
  /** Something else happens first. */
  | { readonly type: "before"; readonly times: number; readonly meanwhile: Effect.Effect<unknown, BerthError> }
  | { readonly type: "replyLost"; readonly times: number; readonly meanwhile?: Effect.Effect<unknown, BerthError> }

export const unavailable = berthError("STORE_UNAVAILABLE", "injected")

/** Lets others in between: no operation of a real store is one step of its caller. */
const pause = Effect.promise(() => Promise.resolve())

/** The log with faults before it; what is not armed goes through. */
function faulty(log: EventLog["Service"], faults: Map<LogCall, LogFault>): EventLog["Service"] {
  const through = <A>(call: LogCall, effect: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
    Effect.flatMap(pause, () => {
      const fault = faults.get(call)
      if (fault === undefined) return effect
      if (fault.times <= 1) faults.delete(call)
      else faults.set(call, { ...fault, times: fault.times - 1 })
      if (fault.type === "refused") return Effect.fail(fault.error ?? unavailable)
      if (fault.type === "before") return Effect.andThen(fault.meanwhile, effect)
      return effect.pipe(Effect.andThen(fault.meanwhile ?? Effect.void), Effect.andThen(Effect.fail(unavailable)))
    })
  return {
    ...log,
    append: (subject, expected, record) => through("append", log.append(subject, expected, record)),
    appendOutput: (taskId, record) => through("appendOutput", log.appendOutput(taskId, record)),
    last: (taskId) => through("last", log.last(taskId)),
    after: (subject, afterSeq) => through("after", log.after(subject, afterSeq)),
    readTask: (taskId, afterSeq, entriesMax) => through("readTask", log.readTask(taskId, afterSeq, entriesMax)),
    head: through("head", log.head),
  }
}

export interface RigOptions {
  readonly config?: ConfigInput
  /** Real time; default: time that stands still. */
  readonly live?: boolean
  readonly failpoints?: Partial<Record<Failpoint, Effect.Effect<void>>>
}

export function makeRig(options: RigOptions = {}) {
  const manual = manualClock()
  const clock: Clock["Service"] = options.live === true ? liveClock : manual
  const store = makeMemoryStore()
  const blobs = makeMemoryBlobs()
  const faults = new Map<LogCall, LogFault>()
  const log = faulty(store.log, faults)
  const random = seededRandom(42)
  const failpoints = armedFailpoints(options.failpoints ?? {})
  const signals = makeMemorySignals()
  const ports = Layer.mergeAll(
    Layer.succeed(EventLog, log),
    Layer.succeed(ReadModel, store.model.readModel),
    Layer.succeed(Queue, makeMemoryQueue(clock)),
    Layer.succeed(Signals, signals),
    Layer.succeed(Workers, makeMemoryWorkers()),
    Layer.succeed(Blobs, blobs.blobs),
    Layer.succeed(Clock, clock),
    Layer.succeed(Random, random),
    Layer.succeed(Failpoints, failpoints),
  )
  const services = Effect.runSync(
    Effect.gen(function* () {
      return { turns: yield* Turns, programs: yield* Programs, queue: yield* Queue, workers: yield* Workers }
    }).pipe(Effect.provide(Layer.mergeAll(turnsLayer, programsLayer).pipe(Layer.provideMerge(ports)))),
  )
  const run = <A>(effect: Effect.Effect<A, BerthError>): Promise<A> => Effect.runPromise(effect)
  return {
    ...services,
    ports,
    log,
    /** Without the faults: what is really there. */
    store,
    blobs: blobs.blobs,
    readModel: store.model.readModel,
    signals,
    clock,
    manual,
    random,
    failpoints,
    config: resolveConfig(options.config ?? {}),
    metrics: { started: () => {}, ended: () => {}, lost: () => {} },
    fenceOpen: Effect.void,
    isFenceOpen: (): boolean => true,
    sha256: (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex"),
    run,
    fail: (call: LogCall, fault: LogFault = { type: "refused", times: 1 }): void => void faults.set(call, fault),
    heal: (): void => faults.clear(),
    state: async (taskId: string): Promise<TaskState> => {
      const last = await run(store.log.last(taskId))
      if (last?.record.kind !== "task") throw new Error(`there is no task ${taskId}`)
      return last.record.state
    },
    /** A task's first record, straight into the log. */
    submit: async (task: TaskOptions): Promise<TaskRecord> => {
      const record = submitted(task)
      await run(store.log.append(stateSubject(task.id), 0, record))
      return record
    },
    /** Another record of a task, straight into the log. */
    append: async (record: TaskRecord): Promise<number> => {
      const last = await run(store.log.last(record.state.id))
      return run(store.log.append(stateSubject(record.state.id), last?.seq ?? 0, record))
    },
  }
}
export type Rig = ReturnType<typeof makeRig>

export const workerInfo = (more: Partial<WorkerInfo> = {}): WorkerInfo => ({
  worker: "w1",
  host: "host",
  engineId: null,
  pool: "default",
  slots: 4,
  held: 0,
  kinds: ["handler", "image", "runtime"],
  kindsUnavailable: [],
  handlers: ["noop"],
  isolations: ["runc"],
  labels: {},
  draining: false,
  accepting: true,
  version: "0",
  startedAtMs: 0,
  ...more,
})
