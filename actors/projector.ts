/**
 * Keeps the read model of one node behind a log that is elsewhere.
 *
 *   feed ──batches──▶ apply (rows and checkpoint in one transaction) ──▶ reached ──▶ reads that wait, /ready, who may lead
 *
 *   PJ1. Entries are applied in log order, each once, and none is skipped: whoever starts again goes on at the checkpoint.
 *   PJ2. A record that this program does not know, or that is damaged, stops the projector for good, and the node says so
 *        and is not ready: a newer program, or a person, has to help. Where it is too old, it is told so (`onTooNew`).
 *   PJ3. What was removed from the log is not waited for: where nothing lies between the checkpoint and a head that was
 *        heard before, that head is reached.
 *   PJ4. In no trouble is who has read all that the log had some seconds ago, or all but a few entries, and hears the log; but
 *        nobody before he has read all that was there when he began: a model that is just being made anew knows nothing.
 *   PJ5. It stands still when the log has had more for a while and none of it was applied: a full disk, a damaged file.
 */
import { Effect, Stream } from "effect"
import { type BerthError, berthError } from "../core/errors.ts"
import type { Clock } from "../core/ports/clock.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import type { ReadModel } from "../core/ports/readModel.ts"
import { ANY_SUBJECT, type LogEntry, type Seq } from "../core/record.ts"
import { levelAfter, levelTooNew, RECORD_LEVEL_MAX } from "../core/recordLevel.ts"
import type { Logger } from "../core/telemetry.ts"
import type { Reading } from "./reading.ts"

const LOOK_MS = 500
const WAIT_MS = 20
/** A log that has not answered for so long is away. */
const SILENCE_MS_MAX = 3_000
/** So many entries behind the head is near it. */
const NEAR_ENTRIES = 1_000
/** Whoever writes faster than anybody reads must not make a node unready that is only these seconds behind. */
const NEAR_MS = 5_000
/** PJ5. Longer than it takes to find another consumer, or the stream another leader. */
const STUCK_MS = 15_000

export interface ProjectorDeps {
  readonly log: EventLog["Service"]
  readonly readModel: ReadModel["Service"]
  readonly clock: Clock["Service"]
  readonly logger: Logger
  /** Who led when this node began to read, if that is known. */
  readonly leaderBefore: string | null
  /** This program cannot read on: records are of a level beyond it, or will be (RL3). */
  readonly onTooNew: (error: BerthError) => void
}

export interface Projector extends Reading {
  readonly run: Effect.Effect<never, BerthError>
}

export const makeProjector = ({ clock, leaderBefore, log, logger, onTooNew, readModel }: ProjectorDeps): Projector => {
  let position: Seq = 0
  let head: Seq | null = null
  let heardMonoMs = Number.NEGATIVE_INFINITY
  /** A head that was heard and not yet reached, and when that was. */
  let target: { readonly seq: Seq; readonly monoMs: number } | null = null
  /** All that the log had at this moment has been read. */
  let provenMonoMs = Number.NEGATIVE_INFINITY
  /** Since when the log has more than was applied, and nothing has been; null: nothing is left, or something just was. */
  let idleSinceMonoMs: number | null = null
  let stopped: BerthError | null = null
  let leaderNode = leaderBefore

  const moveTo = (seq: Seq): void => {
    if (seq > position) idleSinceMonoMs = null
    position = Math.max(position, seq)
    if (target === null || position < target.seq) return
    provenMonoMs = target.monoMs
    target = head !== null && head > position ? { seq: head, monoMs: heardMonoMs } : null
  }
  const applied = (entries: readonly LogEntry[]): void => {
    for (const entry of entries) {
      const { record } = entry
      if (record.kind !== "control") continue
      if (record.fact.type === "termBegan") leaderNode = record.fact.node
      log.raise(levelAfter(entry))
    }
    moveTo(entries.at(-1)?.seq ?? 0)
  }

  const follow = Effect.gen(function* () {
    const checkpoint = yield* readModel.checkpoint
    moveTo(checkpoint)
    yield* Stream.runForEach(log.feed(checkpoint), (entries) =>
      Effect.andThen(
        readModel.apply(entries),
        Effect.suspend(() => {
          applied(entries)
          return log.level() > RECORD_LEVEL_MAX ? Effect.fail(levelTooNew(log.level())) : Effect.void
        }),
      ),
    )
    return yield* Effect.fail(berthError("STORE_UNAVAILABLE", "the log's feed ended"))
  })

  /** PJ3: the head first, and only then whether anything is left to come before it. */
  const look = Effect.gen(function* () {
    const seenAt = position
    const askedMonoMs = clock.monoMs()
    const heard = yield* log.head
    head = heard
    heardMonoMs = askedMonoMs
    target ??= { seq: heard, monoMs: askedMonoMs }
    if (position < heard && position === seenAt) {
      const next = yield* log.after(ANY_SUBJECT, yield* readModel.checkpoint)
      if (next === null || next.seq > heard) moveTo(heard)
    }
    moveTo(position)
    idleSinceMonoMs = position < heard ? (idleSinceMonoMs ?? clock.monoMs()) : null
  })
  const lookForever = Effect.forever(Effect.andThen(Effect.ignore(look), clock.sleep(LOOK_MS)))

  const stop = (error: BerthError): Effect.Effect<never, BerthError> => {
    stopped = error
    logger.error({ code: error.code, error: error.message }, "the read model cannot follow the log")
    if (error.code === "SCHEMA_TOO_NEW") {
      // What cannot be read must not be written upon (EL14).
      log.raise(RECORD_LEVEL_MAX + 1)
      onTooNew(error)
    }
    return Effect.never
  }
  const followOrStop = Effect.catch(follow, (error) => (error.retryable ? Effect.fail(error) : stop(error)))

  const isStuck = (): boolean =>
    stopped !== null || (idleSinceMonoMs !== null && clock.monoMs() - idleSinceMonoMs > STUCK_MS)
  const trouble = (): string | null => {
    const nowMonoMs = clock.monoMs()
    if (stopped !== null) return `stopped at ${position}: ${stopped.message}`
    if (isStuck()) return `stands still at ${position}, and the log has more`
    if (head === null || nowMonoMs - heardMonoMs > SILENCE_MS_MAX) return "the log does not answer"
    const behind = head - position
    const knowsBeginning = provenMonoMs > Number.NEGATIVE_INFINITY
    const isNear = behind <= NEAR_ENTRIES || nowMonoMs - provenMonoMs <= NEAR_MS
    return knowsBeginning && isNear ? null : `${behind} entries behind the log`
  }

  /** PJ3 holds here too: what was removed meanwhile is not waited for. */
  const caughtUp = Effect.gen(function* () {
    const wanted = yield* log.head
    while (position < wanted) yield* clock.sleep(WAIT_MS)
  })

  return {
    caughtUp,
    run: Effect.raceFirst(followOrStop, lookForever) as Effect.Effect<never, BerthError>,
    reached: Effect.sync(() => position),
    head: Effect.sync(() => Math.max(head ?? 0, position)),
    trouble,
    isStuck,
    leaderNode: () => leaderNode,
  }
}
