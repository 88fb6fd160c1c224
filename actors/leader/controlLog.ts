import { Effect, Semaphore } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import type { Random } from "../../core/ports/random.ts"
import { type Admission, CONTROL_SUBJECT, type ControlRecord, type Seq } from "../../core/record.ts"
import { appendOnce } from "../appendOnce.ts"

/**
 * The control subject as one leader writes it: every append names the version that the one before had. A conflict means that
 * another leader has written there, and nothing of this term is accepted any more (I3).
 */
export interface ControlLog {
  /** Begins a term; answers the sequence that the fold must reach before anything is decided. */
  readonly beginTerm: Effect.Effect<Seq, BerthError>
  readonly admit: (admissions: readonly Admission[]) => Effect.Effect<Seq, BerthError>
  /** Tells read models that are elsewhere what was removed: ids of tasks whose output is gone, and of tombstones. */
  readonly tellPurged: (outputs: readonly string[], tombstones: readonly string[]) => Effect.Effect<Seq, BerthError>
}

export interface ControlLogDeps {
  readonly node: string
  readonly log: EventLog["Service"]
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
}

export function makeControlLog({ clock, log, node, random }: ControlLogDeps): ControlLog {
  let version: Seq = 0
  let term = 0

  const oneAtATime = Semaphore.makeUnsafe(1)

  const append = (fact: ControlRecord["fact"]): Effect.Effect<Seq, BerthError> =>
    oneAtATime.withPermits(1)(
      Effect.suspend(() =>
        Effect.map(
          appendOnce(log, CONTROL_SUBJECT, version, { kind: "control", recordId: random.id(), fact }),
          (seq) => (version = seq),
        ),
      ),
    )

  return {
    beginTerm: Effect.gen(function* () {
      const last = yield* log.lastControl
      version = last?.seq ?? 0
      term = last?.record.kind === "control" ? last.record.fact.term + 1 : 1
      return yield* append({ type: "termBegan", node, term, atMs: clock.nowMs() })
    }),
    tellPurged: (outputs, tombstones) => append({ type: "purged", term, outputs, tombstones, atMs: clock.nowMs() }),
    admit: (admissions) => append({ type: "admitted", term, admissions, atMs: clock.nowMs() }),
  }
}
