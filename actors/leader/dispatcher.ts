/**
 * Admission: the one place that decides across tasks.
 *
 *   D1. Nothing is admitted before this leader's `termBegan` is durable and its own fold has read that far (I3).
 *   D2. An admission is durable before its wake-up is published; a crash in between is made good by the next leader.
 *   D3. No pool gets more admissions than it has slots (of workers that take work) and lookahead, no owner more than its limit;
 *       a task that no worker takes now is not admitted and holds nothing, and one that only some take waits for room with them.
 *   D4. Appends to `control` follow one another under compare-and-set: a conflict means another leader, and this one ends.
 */
import { Effect, Latch, Stream } from "effect"
import type { Config } from "../../core/config.ts"
import { type BerthError, berthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import type { Failpoints } from "../../core/ports/failpoints.ts"
import type { Queue } from "../../core/ports/queue.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import type { Signals } from "../../core/ports/signals.ts"
import type { Workers } from "../../core/ports/workers.ts"
import type { Admission, LogEntry, Seq } from "../../core/record.ts"
import { type Credit, creditsOf } from "../../core/policy/credit.ts"
import type { Waiting } from "../../core/policy/waiting.ts"
import { type ControlLogDeps, makeControlLog } from "./controlLog.ts"
import { LeaderFold } from "./fold.ts"
import { WakeUps } from "./wakeUps.ts"

const SCAN_ROWS = 1_000
/** Workers come and go without a record; their list is read again at least this often. */
const WORKERS_REFRESH_MS = 250

export interface DispatcherDeps extends ControlLogDeps {
  readonly config: Config
  readonly readModel: ReadModel["Service"]
  readonly queue: Queue["Service"]
  readonly signals: Signals["Service"]
  readonly workers: Workers["Service"]
  readonly failpoints: Failpoints["Service"]
  readonly onAdmitted: (count: number) => void
  /** Sees every entry after this leader's fold has; the timers listen here. */
  readonly onEntries: (entries: readonly LogEntry[]) => void
}

/** A task that is admitted, and the worker that it goes to; null: any of its pool. */
interface Chosen {
  readonly waiting: Waiting
  readonly worker: string | null
}

export interface Dispatcher {
  readonly fold: LeaderFold
  /** True once the fold has read its own `termBegan`. */
  readonly isDeciding: () => boolean
  /** All admissions before this sequence are settled; 0 before this leader decides. */
  readonly settledBefore: () => Seq
  /** Publishes the wake-ups of all that is admitted and not started; at most one message per task is ever there. */
  readonly republish: Effect.Effect<void, BerthError>
  /** Writes on `control` what retention has removed; not before this leader decides. */
  readonly tellPurged: (outputs: readonly string[], tombstones: readonly string[]) => Effect.Effect<void, BerthError>
  /** Raises the level of records; not before this leader decides. */
  readonly raiseLevel: (level: number) => Effect.Effect<void, BerthError>
  /** Runs until it fails: with WRONG_STATE when another leader's term has begun. */
  readonly run: Effect.Effect<never, BerthError>
}

export const makeDispatcher = (deps: DispatcherDeps): Dispatcher => {
  const { clock, config, failpoints, log, queue, readModel, signals, workers } = deps
  const fold = new LeaderFold(config.starvationMax)
  const changed = Latch.makeUnsafe(true)
  const control = makeControlLog(deps)
  const wakeUps = new WakeUps({ queue, signals, readModel, slots: fold.slots, lookahead: config.lookahead })
  const republish = Effect.flatMap(workers.list, (list) => wakeUps.again(list))
  let termSeq: Seq = 0
  let deciding = false

  const scan = (status: "pending" | "running"): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      let afterId = ""
      for (;;) {
        const rows = yield* readModel.scan(status, afterId, SCAN_ROWS)
        for (const row of rows) fold.applyRow(row)
        if (rows.length < SCAN_ROWS) return
        afterId = rows.at(-1)?.state.id ?? ""
      }
    })

  const follow = (afterSeq: Seq): Effect.Effect<void, BerthError> =>
    Stream.runForEach(log.feed(afterSeq), (entries) =>
      Effect.sync(() => {
        for (const entry of entries) fold.applyEntry(entry)
        if (!deciding && fold.headSeq >= termSeq) deciding = true
        deps.onEntries(entries)
        changed.openUnsafe()
      }),
    )

  const choose = (pool: string, { slots, workers: takers }: Credit): readonly Chosen[] => {
    const chosen: Chosen[] = []
    const placing = wakeUps.placing(pool, takers)
    const chosenOf = new Map<string, number>()
    const mayHold = (owner: string): boolean =>
      fold.slots.ofOwner(owner) + (chosenOf.get(owner) ?? 0) < config.ownerSlotsMax
    while (chosen.length < Math.min(slots - fold.slots.ofPool(pool), LIMITS.admissionsPerRecordMax)) {
      const next = fold.waiting.take((route) => route.pool === pool && placing.isOpen(route), mayHold)
      if (next === null) break
      chosen.push({ waiting: next, worker: placing.place(next.route) })
      fold.admitting.add(next.taskId)
      chosenOf.set(next.owner, (chosenOf.get(next.owner) ?? 0) + 1)
    }
    return chosen
  }

  const admit = (chosen: readonly Chosen[]): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const admissions: readonly Admission[] = chosen.map(({ waiting: { epoch, owner, pool, taskId } }) => ({
        taskId,
        owner,
        pool,
        epoch,
      }))
      yield* failpoints.hit("admit.beforeAppend")
      const seq = yield* control.admit(admissions)
      yield* failpoints.hit("admit.afterAppend")
      for (const admission of admissions) fold.applyAdmission(admission, seq)
      yield* wakeUps.send(
        chosen.map(({ waiting: { epoch, lane, pool, taskId }, worker }) => ({
          wakeUp: { pool, lane, taskId, epoch, admission: seq },
          worker,
        })),
      )
      yield* failpoints.hit("admit.afterPublish")
      deps.onAdmitted(admissions.length)
    }).pipe(
      Effect.tapError(() => Effect.sync(() => fold.giveBack(chosen.map(({ waiting }) => waiting)))),
      Effect.ensuring(Effect.sync(() => chosen.forEach(({ waiting }) => fold.admitting.delete(waiting.taskId)))),
    )

  const decide = Effect.gen(function* () {
    for (const [pool, credit] of creditsOf(yield* workers.list, config.lookahead)) {
      for (;;) {
        const chosen = choose(pool, credit)
        if (chosen.length === 0) break
        yield* admit(chosen)
      }
    }
  })

  const decideForever = Effect.gen(function* () {
    while (!deciding) {
      changed.closeUnsafe()
      yield* changed.await
    }
    yield* republish
    for (;;) {
      changed.closeUnsafe()
      yield* decide.pipe(
        Effect.catch((error) =>
          error.code === "VERSION_CONFLICT"
            ? Effect.fail(berthError("WRONG_STATE", "another leader's term has begun"))
            : Effect.andThen(
                clock.sleep(WORKERS_REFRESH_MS),
                Effect.sync(() => void changed.openUnsafe()),
              ),
        ),
      )
      yield* Effect.raceFirst(changed.await, clock.sleep(WORKERS_REFRESH_MS))
    }
  })

  const run = Effect.gen(function* () {
    termSeq = yield* control.beginTerm
    const checkpoint = yield* readModel.checkpoint
    yield* scan("pending")
    yield* scan("running")
    // What the rows hold need not come through the feed again; with an embedded store that is everything so far.
    fold.headSeq = checkpoint
    deciding = checkpoint >= termSeq
    const ended = Effect.andThen(
      follow(checkpoint),
      Effect.fail(berthError("STORE_UNAVAILABLE", "the log's feed ended")),
    )
    return yield* Effect.raceFirst(ended, decideForever)
  }) as Effect.Effect<never, BerthError>

  /** What this fold has not read may hold a slot: of another leader, too. */
  const settledBefore = (): Seq => (deciding ? Math.min(fold.slots.settledBefore(), fold.headSeq + 1) : 0)

  const tellPurged: Dispatcher["tellPurged"] = (outputs, tombstones) =>
    Effect.suspend(() => (deciding ? Effect.asVoid(control.tellPurged(outputs, tombstones)) : Effect.void))

  const raiseLevel: Dispatcher["raiseLevel"] = (level) =>
    Effect.suspend(() => (deciding ? Effect.asVoid(control.raiseLevel(level)) : Effect.void))

  return { fold, isDeciding: () => deciding, settledBefore, republish, tellPurged, raiseLevel, run }
}
