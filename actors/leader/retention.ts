/**
 * What is kept, and for how long: output and artifacts go first, then a tombstone takes the task's place, then nothing is
 * left. Every step may be interrupted and comes again.
 *
 *   RT1. Only tasks at rest are touched, and dead letters like all others: the tombstone takes the place of exactly the record
 *        that was seen, before anything else goes. What a crash then leaves of its blobs goes with the tombstone.
 *   RT2. A tombstone stays until a repeat need not be recognised any more (`idempotencyMs`).
 *   RT3. Of `control`, what a new leader or a new fold of the log needs stays: its last record, which has term and version, and
 *        everything from the oldest admission on that is not settled. What is settled stays so, and beyond what a leader has read
 *        nothing goes: one whose time is over harms nobody.
 *   RT4. Removing leaves no record: a read model that is not told by the log itself learns of it on `control`. One that was not
 *        told yet has it done again.
 *   RT5. What cannot be removed ends no term: one task whose record is damaged is passed over, and told once; where more
 *        fails, as while the store of blobs is away, the rest waits for the next pass.
 */
import { Effect } from "effect"
import type { Config } from "../../core/config.ts"
import type { BerthError } from "../../core/errors.ts"
import type { Blobs } from "../../core/ports/blobs.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import type { Failpoints } from "../../core/ports/failpoints.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import type { Seq, TombstoneRecord } from "../../core/record.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import type { TaskState } from "../../core/task/state.ts"
import type { Dispatcher } from "./dispatcher.ts"

const PAGE_ROWS = 200
/** What no later pass of this term will find otherwise. */
const DAMAGED: readonly string[] = ["STORE_CORRUPT", "SCHEMA_TOO_NEW"]
/** After so many in a stage it is no single task's trouble. */
const FAILURES_MAX = 3

export interface RetentionDeps {
  readonly config: Config
  readonly log: EventLog["Service"]
  readonly readModel: ReadModel["Service"]
  readonly blobs: Blobs["Service"]
  readonly clock: Clock["Service"]
  readonly failpoints: Failpoints["Service"]
}

export interface TermRetentionDeps extends RetentionDeps {
  /** All admissions before this sequence are settled; 0 while nothing is known of them. */
  readonly settledBefore: () => Seq
  readonly tellPurged: Dispatcher["tellPurged"]
  /** RT5. */
  readonly onNotRemoved: (taskId: string, error: BerthError) => void
}

/** Output, artifacts and records of one task at rest go; a tombstone stays. */
export const purge = (deps: RetentionDeps, state: TaskState, seq: Seq): Effect.Effect<Seq, BerthError> =>
  Effect.gen(function* () {
    const tombstone: TombstoneRecord = {
      kind: "tombstone",
      id: state.id,
      owner: state.owner,
      requestHash: state.spec.requestHash,
      status: state.status,
      submittedAtMs: state.submittedAtMs,
      atMs: deps.clock.nowMs(),
    }
    const entombedSeq = yield* deps.log.entomb(state.id, seq, tombstone)
    yield* deps.failpoints.hit("retention.afterEntomb")
    yield* deps.blobs.removePrefix(`${state.id}/`)
    yield* deps.failpoints.hit("retention.afterPurge")
    return entombedSeq
  })

export const makeRetention = (deps: TermRetentionDeps) => {
  const { blobs, clock, config, log, readModel } = deps
  let trimmedBefore: Seq = 0
  const passedOver = new Set<string>()
  /** Those that are passed over stay in front of all pages. */
  const rowsMax = (): number => PAGE_ROWS + passedOver.size

  /** RT5: gives those that are done. */
  const each = <A>(
    all: readonly A[],
    idOf: (one: A) => string,
    remove: (one: A) => Effect.Effect<void, BerthError>,
  ): Effect.Effect<readonly A[]> =>
    Effect.gen(function* () {
      const done: A[] = []
      let failures = 0
      for (const one of all) {
        const taskId = idOf(one)
        if (passedOver.has(taskId)) continue
        const failure = yield* Effect.match(remove(one), { onFailure: (error) => error, onSuccess: () => null })
        if (failure === null) {
          done.push(one)
          continue
        }
        deps.onNotRemoved(taskId, failure)
        if (DAMAGED.includes(failure.code)) passedOver.add(taskId)
        else if (++failures === FAILURES_MAX) break
      }
      return done
    })

  /** The program, under epoch 0, stays: the task may still be retried by hand. */
  const purgeOutput = ({ seq, state }: TaskRow): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      if ((yield* log.last(state.id))?.seq !== seq) return
      for (let epoch = 1; epoch <= state.epoch; epoch += 1) yield* blobs.removePrefix(`${state.id}/${epoch}/`)
      yield* log.purgeOutput(state.id)
    })

  /** Somebody retried it meanwhile: it is not at rest any more. */
  const purgeOld = (row: TaskRow): Effect.Effect<void, BerthError> =>
    purge(deps, row.state, row.seq).pipe(
      Effect.asVoid,
      Effect.catch((error) => (error.code === "VERSION_CONFLICT" ? Effect.void : Effect.fail(error))),
    )
  /** It may be forgotten already, and taken again by a new task. */
  const forget = (taskId: string): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      if ((yield* log.last(taskId))?.record.kind !== "tombstone") return
      yield* blobs.removePrefix(`${taskId}/`)
      yield* log.forget(taskId)
    })

  const trimControl = Effect.gen(function* () {
    // First what is settled, then what is last: an admission that is made in between is after both.
    const settledBefore = deps.settledBefore()
    const last = yield* log.lastControl
    const before = Math.min(settledBefore, last?.seq ?? 0)
    if (before <= trimmedBefore) return
    yield* log.trimControl(before)
    trimmedBefore = before
  })

  /** RT4. */
  const tellOthers = (
    printed: readonly TaskRow[],
    forgotten: readonly string[],
    nowMs: number,
  ): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      if (printed.length === 0 && forgotten.length === 0) return
      const stillPrinted = yield* readModel.endedBefore(nowMs - config.outputKeepMs, rowsMax(), "withOutput")
      const stillThere = yield* readModel.tombstonesBefore(nowMs - config.idempotencyMs, rowsMax())
      const outputs = printed
        .filter((row) => stillPrinted.some(({ seq }) => seq === row.seq))
        .map(({ state }) => state.id)
      const tombstones = forgotten.filter((id) => stillThere.includes(id))
      if (outputs.length + tombstones.length > 0) yield* deps.tellPurged(outputs, tombstones)
    })

  const pass = Effect.gen(function* () {
    const nowMs = clock.nowMs()
    const old = yield* readModel.endedBefore(nowMs - config.taskKeepMs, rowsMax(), "all")
    yield* each(old, ({ state }) => state.id, purgeOld)
    const ended = yield* readModel.endedBefore(nowMs - config.outputKeepMs, rowsMax(), "withOutput")
    const printed = yield* each(ended, ({ state }) => state.id, purgeOutput)
    const tombstones = yield* readModel.tombstonesBefore(nowMs - config.idempotencyMs, rowsMax())
    const forgotten = yield* each(tombstones, (id) => id, forget)
    yield* tellOthers(printed, forgotten, nowMs)
    yield* trimControl
  })

  return {
    pass,
    run: Effect.forever(Effect.andThen(pass, clock.sleep(config.retentionMs))) as Effect.Effect<never, BerthError>,
  }
}
