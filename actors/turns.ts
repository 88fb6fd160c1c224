/**
 * One turn of a task: load → decide → append → perform. Whoever holds a message for a task comes through here.
 *
 *   TU1. Nothing is performed before the append is durable.
 *   TU2. On VERSION_CONFLICT the turn loads and decides again, at most `CONFLICTS_MAX` times.
 *   TU3. A reply that was lost is recognised by the first record after the expected version: is it mine? (EL5)
 *   TU4. Commands are idempotent; one that fails is repaired by the reconciler and does not fail the turn.
 *   TU5. A decision may begin with what this process saw last. Only one that writes stands, because the log checks its version;
 *        one that writes nothing is made again on what the log holds.
 */
import { Context, Effect, Layer } from "effect"
import { type BerthError, berthError } from "../core/errors.ts"
import { EventLog } from "../core/ports/eventLog.ts"
import { Random } from "../core/ports/random.ts"
import { Signals, workerSubject } from "../core/ports/signals.ts"
import { type LogEntry, type Seq, stateSubject, type TaskRecord } from "../core/record.ts"
import { type Command, decide } from "../core/task/decide.ts"
import type { TaskFact } from "../core/task/facts.ts"
import type { TaskMessage } from "../core/task/messages.ts"
import type { TaskState } from "../core/task/state.ts"
import { appendOnce } from "./appendOnce.ts"
import { RecentStates, type Seen } from "./recentStates.ts"

const CONFLICTS_MAX = 16

export interface Turned extends Seen {
  /** False when the wish was already fulfilled and nothing was written. */
  readonly changed: boolean
}

export class Turns extends Context.Service<
  Turns,
  {
    /** Fails with WRONG_STATE when the machine refuses, NOT_FOUND for an unknown or purged task, or with the log's own errors. */
    readonly turn: (taskId: string, message: TaskMessage) => Effect.Effect<Turned, BerthError>
    /** What the log holds now. */
    readonly load: (taskId: string) => Effect.Effect<Seen, BerthError>
    /** What this process saw last of a task that was under way, without asking the log; null: nothing. */
    readonly recent: (taskId: string) => Seen | null
    /** Writes the first record of a task; VERSION_CONFLICT when there is one already. */
    readonly begin: (state: TaskState, fact: TaskFact) => Effect.Effect<LogEntry<TaskRecord>, BerthError>
  }
>()("actors/Turns") {}

/** A turn was refused because somebody else has decided meanwhile: another holds the task, it has ended, or it is gone. */
export const isOvertaken = (error: BerthError): boolean => error.code === "WRONG_STATE" || error.code === "NOT_FOUND"

/** Nothing is left to do for who was overtaken. */
export const unlessOvertaken = (turned: Effect.Effect<void, BerthError>): Effect.Effect<void, BerthError> =>
  Effect.catchIf(turned, isOvertaken, () => Effect.void)

export const turnsLayer: Layer.Layer<Turns, never, EventLog | Signals | Random> = Layer.effect(
  Turns,
  Effect.gen(function* () {
    const log = yield* EventLog
    const signals = yield* Signals
    const random = yield* Random

    const perform = (command: Command): Effect.Effect<void> =>
      signals.publish(workerSubject(command.worker), command).pipe(Effect.ignore)

    const recent = new RecentStates()
    const noted = (seen: Seen): Seen => {
      recent.note(seen)
      return seen
    }

    const load = (taskId: string): Effect.Effect<Seen, BerthError> =>
      log
        .last(taskId)
        .pipe(
          Effect.flatMap((entry) =>
            entry?.record.kind === "task"
              ? Effect.succeed(noted({ state: entry.record.state, seq: entry.seq }))
              : Effect.fail(berthError("NOT_FOUND", `there is no task ${taskId}`)),
          ),
        )

    /** Until it is durable, nobody here builds on it. */
    const write = (subject: string, expected: Seq, record: TaskRecord): Effect.Effect<Seq, BerthError> =>
      Effect.suspend(() => {
        recent.forget(record.state.id)
        return Effect.tap(appendOnce(log, subject, expected, record), (seq) =>
          Effect.sync(() => recent.note({ state: record.state, seq })),
        )
      })

    /** TU5. */
    const decided = Effect.fnUntraced(function* (taskId: string, message: TaskMessage) {
      const remembered = recent.get(taskId)
      if (remembered !== null) {
        const decision = decide(remembered.state, message)
        if (decision.type === "accepted") return { seen: remembered, decision }
      }
      const seen = yield* load(taskId)
      return { seen, decision: decide(seen.state, message) }
    })

    const once = Effect.fnUntraced(function* (taskId: string, message: TaskMessage) {
      const { decision, seen } = yield* decided(taskId, message)
      if (decision.type === "refused") return yield* Effect.fail(decision.error)
      if (decision.type === "unchanged") return { ...seen, changed: false }
      const record: TaskRecord = { kind: "task", recordId: random.id(), facts: decision.facts, state: decision.state }
      const seq = yield* write(stateSubject(taskId), seen.seq, record)
      yield* Effect.forEach(decision.commands, perform, { discard: true })
      return { state: decision.state, seq, changed: true }
    })

    return {
      load,
      recent: (taskId) => recent.get(taskId),
      turn: (taskId, message) =>
        once(taskId, message).pipe(
          Effect.retry({ while: (error) => error.code === "VERSION_CONFLICT", times: CONFLICTS_MAX }),
        ),
      begin: (state, fact) => {
        const subject = stateSubject(state.id)
        const record: TaskRecord = { kind: "task", recordId: random.id(), facts: [fact], state }
        return Effect.map(write(subject, 0, record), (seq) => ({ seq, subject, record }))
      },
    }
  }),
)
