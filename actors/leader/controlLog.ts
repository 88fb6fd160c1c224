import { Effect, Semaphore } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import type { Random } from "../../core/ports/random.ts"
import { type Admission, CONTROL_SUBJECT, type ControlRecord, type Seq } from "../../core/record.ts"
import { levelAfter, RECORD_LEVEL_MAX } from "../../core/recordLevel.ts"
import { appendOnce } from "../appendOnce.ts"

/**
 * The control subject as one leader writes it: every append names the version that the one before had. A conflict means that
 * another leader has written there, and nothing of this term is accepted any more (I3).
 */
export interface ControlLog {
  /** Begins a term; answers the sequence that the fold must reach before anything is decided. */
  readonly beginTerm: Effect.Effect<Seq, BerthError>
  /** Raises the level of records for everybody: from here on it is in force. */
  readonly raiseLevel: (level: number) => Effect.Effect<Seq, BerthError>
  readonly admit: (admissions: readonly Admission[]) => Effect.Effect<Seq, BerthError>
  /** Tells read models that are elsewhere what was removed: ids of tasks whose output is gone, and of tombstones. */
  readonly tellPurged: (outputs: readonly string[], tombstones: readonly string[]) => Effect.Effect<Seq, BerthError>
}

export interface ControlLogDeps {
  /** Nobody else reads this log: a term begins at the highest level that this program has (RL2). */
  readonly isAlone: boolean
  readonly node: string
  readonly log: EventLog["Service"]
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
}

export function makeControlLog({ clock, isAlone, log, node, random }: ControlLogDeps): ControlLog {
  let version: Seq = 0
  let term = 0

  const oneAtATime = Semaphore.makeUnsafe(1)

  /** The record that raises the level is written at the one before it, so that a program that is too old reads why it must end. */
  const append = (fact: ControlRecord["fact"], raisedTo = 0): Effect.Effect<Seq, BerthError> =>
    oneAtATime.withPermits(1)(
      Effect.suspend(() => {
        const level = Math.max(log.level(), raisedTo)
        const record: ControlRecord = { kind: "control", recordId: random.id(), level, fact }
        return Effect.map(appendOnce(log, CONTROL_SUBJECT, version, record), (seq) => {
          log.raise(level)
          return (version = seq)
        })
      }),
    )

  return {
    beginTerm: Effect.gen(function* () {
      const last = yield* log.lastControl
      log.raise(levelAfter(last))
      version = last?.seq ?? 0
      term = last?.record.kind === "control" ? last.record.fact.term + 1 : 1
      return yield* append({ type: "termBegan", node, term, atMs: clock.nowMs() }, isAlone ? RECORD_LEVEL_MAX : 0)
    }),
    raiseLevel: (level) => append({ type: "levelRaised", term, atMs: clock.nowMs() }, level),
    tellPurged: (outputs, tombstones) => append({ type: "purged", term, outputs, tombstones, atMs: clock.nowMs() }),
    admit: (admissions) => append({ type: "admitted", term, admissions, atMs: clock.nowMs() }),
  }
}
