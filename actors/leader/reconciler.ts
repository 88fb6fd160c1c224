/**
 * Keeps one total invariant: every task that is not at rest has a wake-up, or a holder that lives, or a timer, or stands in
 * the dispatcher's index (I5). What has none is repaired and counted; a repair is a defect somewhere else.
 *
 *   RC1. A wake-up that was lost is published again.
 *   RC2. A running task whose worker lives but does not hold it, in two passes, is lost.
 *   RC3. A wish to stop is signalled again until the attempt has ended.
 *   RC4. Slots held by the fold equal slots held by the rows; the difference is measured.
 *   RC5. An attempt of which its living worker says nothing beyond time limit and grace is ended; the worker that finds it ended
 *        removes what is left of it.
 */
import { Effect } from "effect"
import type { Config } from "../../core/config.ts"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Random } from "../../core/ports/random.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import { type Signals, workerSubject } from "../../core/ports/signals.ts"
import type { Workers } from "../../core/ports/workers.ts"
import { holdsSlot, type TaskRow } from "../../core/readmodel/row.ts"
import { resultWithoutExit } from "../../core/task/outcome.ts"
import { type Turns, unlessOvertaken } from "../turns.ts"
import type { Dispatcher } from "./dispatcher.ts"
import { Silences } from "./silence.ts"

const PAGE_ROWS = 500

export interface ReconcilerDeps {
  readonly config: Config
  readonly readModel: ReadModel["Service"]
  readonly signals: Signals["Service"]
  readonly workers: Workers["Service"]
  readonly turns: Turns["Service"]
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  readonly dispatcher: Dispatcher
  /** True when that worker lives and has the task in its hands; null when nothing is known of the worker. */
  readonly workerHolds: (worker: string, taskId: string) => boolean | null
  readonly onRepair: (taskId: string, what: string) => void
}

export interface Reconciler {
  readonly run: Effect.Effect<never, BerthError>
  readonly pass: Effect.Effect<void, BerthError>
  readonly slotDrift: () => number
  readonly repairs: () => number
}

export const makeReconciler = (deps: ReconcilerDeps): Reconciler => {
  const { clock, config, dispatcher, readModel, signals, turns } = deps
  const silences = new Silences()
  let suspects = new Set<string>()
  let pendingAfterId = ""
  let drift = 0
  let repairCount = 0

  const repaired = (taskId: string, what: string): void => {
    repairCount += 1
    deps.onRepair(taskId, what)
  }

  const loseUnheld = (row: TaskRow, worker: string): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const message = `worker ${worker} does not hold it`
      const chance = { nowMs: clock.nowMs(), jitter01: deps.random.next01() }
      yield* turns.turn(row.state.id, {
        type: "lose",
        epoch: row.state.epoch,
        cause: "worker",
        message,
        overlapPossible: false,
        ...chance,
      })
      repaired(row.state.id, message)
    }).pipe(unlessOvertaken)

  const endOverdue = ({ state }: TaskRow, worker: string): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const message = `worker ${worker} said nothing of it for ${config.overdueMs} ms beyond its time limit`
      const nowMs = clock.nowMs()
      const result = resultWithoutExit(state, { status: "timeout", reason: "deadline", message, nowMs })
      const { epoch, id } = state
      yield* turns.turn(id, { type: "exit", epoch, result, left: true, nowMs, jitter01: deps.random.next01() })
      repaired(id, message)
    }).pipe(unlessOvertaken)

  const checkRunning = Effect.gen(function* () {
    const unheld = new Set<string>()
    // Of a registry that does not answer nothing is known, and so nobody is overdue.
    const registered = yield* Effect.catch(deps.workers.list, () => Effect.succeed([]))
    const infos = new Map(registered.map((info) => [info.worker, info]))
    const now = { nowMs: clock.nowMs(), monoMs: clock.monoMs(), overdueMs: config.overdueMs }
    let slotsHeld = 0
    for (let afterId = ""; ; ) {
      const rows = yield* readModel.scan("running", afterId, PAGE_ROWS)
      for (const row of rows) {
        const { holder, id, stop } = row.state
        if (holdsSlot(row)) slotsHeld += 1
        if (holder === null) continue
        if (stop !== null) {
          const command = {
            type: "signalStop",
            worker: holder.worker,
            taskId: id,
            epoch: holder.epoch,
            mode: stop.mode,
          }
          yield* signals.publish(workerSubject(holder.worker), command).pipe(Effect.ignore)
        }
        if (silences.isOverdue(row, infos.get(holder.worker), now)) yield* endOverdue(row, holder.worker)
        if (deps.workerHolds(holder.worker, id) !== false) continue
        if (suspects.has(`${id}/${holder.epoch}`)) yield* loseUnheld(row, holder.worker)
        else unheld.add(`${id}/${holder.epoch}`)
      }
      if (rows.length < PAGE_ROWS) break
      afterId = rows.at(-1)?.state.id ?? ""
    }
    silences.endOfPass()
    suspects = unheld
    return slotsHeld
  })

  /** One page of the waiting tasks a pass, so that a long queue costs no more than a short one. */
  const checkPending = Effect.gen(function* () {
    const rows = yield* readModel.scan("pending", pendingAfterId, PAGE_ROWS)
    pendingAfterId = rows.length < PAGE_ROWS ? "" : (rows.at(-1)?.state.id ?? "")
    const { fold } = dispatcher
    for (const { seq, state } of rows) {
      // A delay has its time in the read model; where the timers cannot lose it.
      if (fold.knows(state.id) || state.wakeAtMs !== null || seq > fold.headSeq) continue
      const readAtSeq = fold.headSeq
      // A row that is older than what the fold has read would bring back what is over.
      if ((yield* readModel.checkpoint) < readAtSeq) return
      const now = yield* readModel.get(state.id)
      if (now?.seq === seq && !fold.knows(state.id) && fold.repair(now, readAtSeq))
        repaired(state.id, "it stood nowhere")
    }
  })

  const measureDrift = Effect.gen(function* () {
    const before = yield* readModel.checkpoint
    const { slotsHeld } = yield* readModel.counts(null)
    const after = yield* readModel.checkpoint
    if (before === after && dispatcher.fold.headSeq === after) drift = dispatcher.fold.slots.size - slotsHeld
  })

  const pass = Effect.gen(function* () {
    if (!dispatcher.isDeciding()) return
    yield* dispatcher.republish
    yield* checkRunning
    yield* checkPending
    yield* measureDrift
  })

  return {
    pass,
    run: Effect.forever(Effect.andThen(clock.sleep(config.reconcileMs), pass)),
    slotDrift: () => drift,
    repairs: () => repairCount,
  }
}
