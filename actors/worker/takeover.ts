/**
 * What a worker does about tasks of a predecessor that is surely gone: adopt what runs, give back what does not, and remove
 * what the log does not hold.
 *
 *   TA1. Adoption is a turn: the epoch grows, so that whatever the predecessor still writes is refused (I3).
 *   TA2. A place that was never recorded was never fed: nothing ran, so nothing is counted against the task.
 *   TA3. A handler, or a place that is gone, ended with its worker: the task is lost, and the death counts.
 *   TA4. Only places of this cluster that the log does not hold are swept (labels find candidates, the log binds).
 *   TA5. Where there are other workers, what this one cannot adopt is left to the leader: it runs on another engine, or nobody
 *        here can say that it has ended.
 *   TA6. An adoption that is in the log although its answer was lost is gone on with: the log names this worker already.
 */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import type { ExecutorShape, Executors, FoundPlace, Placement } from "../../core/ports/executor.ts"
import type { Failpoints } from "../../core/ports/failpoints.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Random } from "../../core/ports/random.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import type { OutputRecord, Seq } from "../../core/record.ts"
import type { LossCause } from "../../core/task/facts.ts"
import type { Holder, TaskState } from "../../core/task/state.ts"
import type { OutputStream } from "../../core/words.ts"
import { type Turns, unlessOvertaken } from "../turns.ts"
import type { Worker } from "./worker.ts"

const PAGE_ROWS = 500
const PAGE_ENTRIES = 200

export interface TakeoverDeps {
  readonly worker: Worker
  readonly executors: Executors["Service"]
  readonly overdueMs: number
  readonly turns: Turns["Service"]
  readonly log: EventLog["Service"]
  /** Ids of the tasks that may have been left; each is looked up in the log. */
  readonly candidates: Effect.Effect<Iterable<string>, BerthError>
  /** What becomes of those that cannot go on here: they are lost, or the leader will see to them (TA5). */
  readonly rest: "lost" | "leader"
  /** Is the process of that worker surely gone, and every handler in it? */
  readonly hasEnded: (worker: string) => boolean
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  readonly failpoints: Failpoints["Service"]
  readonly onAdopted: () => void
  readonly onLost: (cause: LossCause) => void
}

/**
 * Bytes of each stream that are durable without a hole from the run's beginning. Readers drop what an earlier epoch writes after
 * a later one was recorded, so it does not count.
 */
export const durableOffsets = (
  log: EventLog["Service"],
  taskId: string,
  runEpoch: number,
): Effect.Effect<Readonly<Record<OutputStream, number>>, BerthError> =>
  Effect.gen(function* () {
    const offsets: Record<OutputStream, number> = { stdout: 0, stderr: 0 }
    let epochMin = runEpoch
    for (let afterSeq: Seq = 0; ; ) {
      const entries = yield* log.readTask(taskId, afterSeq, PAGE_ENTRIES)
      for (const { record } of entries) {
        if (record.kind === "task") epochMin = Math.max(epochMin, record.state.epoch)
        if (record.kind === "output" && record.epoch >= epochMin) extend(offsets, record)
      }
      if (entries.length < PAGE_ENTRIES) return offsets
      afterSeq = entries.at(-1)?.seq ?? afterSeq
    }
  })

function extend(offsets: Record<OutputStream, number>, record: OutputRecord): void {
  for (const item of record.items) {
    if (item.type === "chunk" && item.offset <= offsets[item.stream]) {
      offsets[item.stream] = Math.max(offsets[item.stream], item.offset + item.bytes.length)
    }
  }
}

/** Every running task that a read model knows. */
export const runningTasks = (readModel: ReadModel["Service"]): Effect.Effect<readonly string[], BerthError> =>
  Effect.gen(function* () {
    const ids: string[] = []
    for (;;) {
      const rows = yield* readModel.scan("running", ids.at(-1) ?? "", PAGE_ROWS)
      ids.push(...rows.map(({ state }) => state.id))
      if (rows.length < PAGE_ROWS) return ids
    }
  })

/** Settles every candidate that runs and whose holder is in `isGone`. */
export const takeOver = (deps: TakeoverDeps, isGone: (worker: string) => boolean): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const { clock, executors, failpoints, log, turns, worker } = deps

    const lose = (state: TaskState, cause: LossCause, message: string): Effect.Effect<void, BerthError> =>
      Effect.gen(function* () {
        const chance = { nowMs: clock.nowMs(), jitter01: deps.random.next01() }
        yield* turns.turn(state.id, {
          type: "lose",
          epoch: state.epoch,
          cause,
          message,
          overlapPossible: false,
          ...chance,
        })
        deps.onLost(cause)
      })

    const goOn = Effect.fnUntraced(function* (
      state: TaskState,
      holder: Holder,
      containerId: string,
      offsets: Readonly<Record<OutputStream, number>>,
    ) {
      const place: Placement = { containerId, imageDigest: holder.imageDigest, policy: holder.policy }
      yield* worker.adopt(state, place, offsets)
      deps.onAdopted()
    })

    const adopt = Effect.fnUntraced(function* (state: TaskState, holder: Holder, containerId: string) {
      const offsets = yield* durableOffsets(log, state.id, holder.runEpoch)
      yield* failpoints.hit("adopt.beforeAppend")
      const adopted = yield* turns.turn(state.id, {
        type: "adopt",
        epoch: state.epoch,
        worker: worker.name,
        containerId,
        overdueMs: deps.overdueMs,
        nowMs: clock.nowMs(),
      })
      yield* failpoints.hit("adopt.afterAppend")
      yield* goOn(adopted.state, holder, containerId, offsets)
    })

    /** TA6. */
    const goOnWithOurs = Effect.fnUntraced(function* (state: TaskState, holder: Holder) {
      if (holder.containerId === null || worker.holds(state.id)) return
      const offsets = yield* durableOffsets(log, state.id, holder.runEpoch)
      yield* goOn(state, holder, holder.containerId, offsets)
    })

    /** TA3. One list for all; a backend that does not answer is believed to have everything. */
    const listed = new Map<ExecutorShape, ReadonlySet<string> | null>()
    const isGoneFrom = (executor: ExecutorShape, containerId: string): Effect.Effect<boolean> =>
      Effect.gen(function* () {
        if (!listed.has(executor)) {
          const found = yield* Effect.catch(executor.places(null), () => Effect.succeed(null))
          listed.set(executor, found && new Set(found.map((place) => place.containerId)))
        }
        return listed.get(executor)?.has(containerId) === false
      })

    const settle = Effect.fnUntraced(function* (state: TaskState, holder: Holder) {
      const executor = executors.forKind(state.spec.kind)
      const isHandler = state.spec.kind === "handler"
      if (isHandler && !deps.hasEnded(holder.worker)) return
      if (deps.rest === "leader" && !isHandler) {
        const engineId = executor === null ? null : yield* executor.engineId
        if (engineId === null || engineId !== holder.engineId) return
      }
      if (executor === null)
        return yield* lose(
          state,
          "worker",
          `worker ${holder.worker} is gone and nobody here runs ${state.spec.kind} tasks`,
        )
      if (holder.containerId !== null && (yield* isGoneFrom(executor, holder.containerId)))
        return yield* lose(state, "worker", `worker ${holder.worker} died, and its container is gone`)
      if (holder.containerId !== null) return yield* adopt(state, holder, holder.containerId)
      if (isHandler) return yield* lose(state, "worker", `worker ${holder.worker} died while it ran this handler`)
      // A backend that does not answer keeps nobody from starting: what it leaves is swept later.
      const unfed = { taskId: state.id, epoch: holder.runEpoch }
      yield* executor.remove(unfed, { containerId: null, imageDigest: null, policy: null }).pipe(Effect.ignore)
      yield* lose(state, "infrastructure", `worker ${holder.worker} died before the program was fed`)
    })

    const look = (taskId: string): Effect.Effect<void, BerthError> =>
      turns.load(taskId).pipe(
        Effect.flatMap(({ state }) => {
          const { holder } = state
          if (holder === null) return Effect.void
          if (holder.worker === worker.name) return goOnWithOurs(state, holder)
          return isGone(holder.worker) ? settle(state, holder) : Effect.void
        }),
        unlessOvertaken,
      )
    for (const taskId of yield* deps.candidates) yield* look(taskId)
  })

/** Places of this cluster that no running task of the log holds and that are in no attempt's hands. */
export const strays = (
  executor: ExecutorShape,
  turns: Turns["Service"],
  isInHand: (containerId: string) => boolean,
): Effect.Effect<readonly FoundPlace[], BerthError> => {
  const isHeld = ({ containerId, taskId }: FoundPlace): Effect.Effect<boolean, BerthError> =>
    taskId === null
      ? Effect.succeed(false)
      : turns.load(taskId).pipe(
          Effect.map(({ state }) => state.holder?.containerId === containerId),
          Effect.catch((error) => (error.code === "NOT_FOUND" ? Effect.succeed(false) : Effect.fail(error))),
        )
  return Effect.gen(function* () {
    const found = yield* executor.places(null)
    return yield* Effect.filter(
      found.filter(({ containerId }) => !isInHand(containerId)),
      (place) => Effect.map(isHeld(place), (held) => !held),
    )
  })
}
