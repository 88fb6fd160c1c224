/**
 * Delays that end, and start limits that pass. A delay is measured on the monotonic clock from the moment its record was
 * seen, so that a step of the wall clock neither fires nor loses it; what lies beyond the horizon waits in the read model.
 *
 *   TI1. A delay ends at most once: the `wake` names the time it is for, and the machine takes each once.
 *   TI2. A crash loses no timer: the times are columns of the read model.
 *   TI3. Memory is bounded: only what is due within `HELD_MS_MAX` is held here, at most `TIMERS_MAX` of it.
 */
import { Effect, Latch } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import { dueAtMs } from "../../core/readmodel/row.ts"
import type { LogEntry } from "../../core/record.ts"
import type { TaskState } from "../../core/task/state.ts"
import { TimerHeap } from "../../core/timerHeap.ts"
import type { Turns } from "../turns.ts"

/** Delays up to this are measured from their record on, which covers every usual retry. */
const HELD_MS_MAX = 10 * 60_000
/** What is due so soon is taken from the read model, if it is not here already. */
const HORIZON_MS = 20_000
const REFILL_MS = 5_000
/** While a page of due rows is full there is more behind it. */
const REFILL_BUSY_MS = 250
const TIMERS_MAX = 100_000
const REFILL_ROWS = 1_000
/** How many due tasks are turned at once. */
const TURNS_WIDE = 64

export interface TimersDeps {
  readonly readModel: ReadModel["Service"]
  readonly clock: Clock["Service"]
  readonly turns: Turns["Service"]
}

export interface Timers {
  readonly onEntries: (entries: readonly LogEntry[]) => void
  readonly has: (taskId: string) => boolean
  readonly run: Effect.Effect<never, BerthError>
}

export const makeTimers = ({ clock, readModel, turns }: TimersDeps): Timers => {
  const heap = new TimerHeap<string>()
  const changed = Latch.makeUnsafe(true)
  let sleepingUntilMonoMs = Number.POSITIVE_INFINITY

  /** @param sinceMs - the wall time from which the remaining delay counts */
  const schedule = (state: TaskState, sinceMs: number): void => {
    const due = dueAtMs(state)
    if (due === null) return heap.remove(state.id)
    const remainingMs = due - sinceMs
    if (remainingMs <= HELD_MS_MAX && (heap.has(state.id) || heap.size < TIMERS_MAX))
      heap.put(state.id, clock.monoMs() + Math.max(0, remainingMs))
    else heap.remove(state.id)
  }

  const onEntries = (entries: readonly LogEntry[]): void => {
    for (const { record } of entries) {
      if (record.kind === "task") schedule(record.state, record.state.updatedAtMs)
      if (record.kind === "tombstone") heap.remove(record.id)
    }
    const nextMonoMs = heap.nextAt()
    if (nextMonoMs !== null && nextMonoMs < sleepingUntilMonoMs) changed.openUnsafe()
  }

  const refill = Effect.gen(function* () {
    const nowMs = clock.nowMs()
    const rows = yield* readModel.due(nowMs + HORIZON_MS, REFILL_ROWS)
    for (const { state } of rows) if (!heap.has(state.id)) schedule(state, nowMs)
    return clock.monoMs() + (rows.length < REFILL_ROWS ? REFILL_MS : REFILL_BUSY_MS)
  })

  /** The machine refuses what has meanwhile changed; that is no failure. */
  const fire = (taskId: string): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const { state } = yield* turns.load(taskId)
      if (state.status !== "pending") return
      const nowMs = clock.nowMs()
      const due = dueAtMs(state)
      if (due === null) return
      const expired = state.spec.startByMs !== null && due === state.spec.startByMs
      if (expired) {
        yield* turns.turn(taskId, {
          type: "refuse",
          reason: "expired",
          message: "no attempt began before startByMs",
          nowMs,
        })
      } else {
        yield* turns.turn(taskId, { type: "wake", wakeAtMs: due, nowMs })
      }
    }).pipe(
      Effect.catch((error) =>
        error.retryable ? Effect.sync(() => heap.put(taskId, clock.monoMs() + 1_000)) : Effect.void,
      ),
    )

  const run = Effect.gen(function* () {
    let refillMonoMs = 0
    for (;;) {
      changed.closeUnsafe()
      if (clock.monoMs() >= refillMonoMs) refillMonoMs = yield* refill
      yield* Effect.forEach(heap.takeDue(clock.monoMs()), fire, { concurrency: TURNS_WIDE, discard: true })
      sleepingUntilMonoMs = Math.min(heap.nextAt() ?? Number.POSITIVE_INFINITY, refillMonoMs)
      yield* Effect.raceFirst(changed.await, clock.sleep(Math.max(0, Math.ceil(sleepingUntilMonoMs - clock.monoMs()))))
    }
  }) as Effect.Effect<never, BerthError>

  return { onEntries, has: (taskId) => heap.has(taskId), run }
}
