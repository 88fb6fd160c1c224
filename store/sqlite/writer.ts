/**
 * The one writer. What is offered in one turn of the event loop, and all that arrives while a commit is under way, is
 * written by one commit: group commit is the speed of this store.
 *
 *   idle ──offer──▶ turn ends ──▶ load ──▶ decide ──▶ commit ──▶ absorb, settle ──▶ idle or again
 *                                   └───────── failed ─────────▶ settle all, reopen before the next
 *
 *   W1. A job is settled well only after its commit returned, that is after fsync (EL1).
 *   W2. What the process knows (hot tasks, control, tail) changes only after the commit returned.
 *   W3. After a commit failed for anything but a full disk nobody knows what the disk holds: the connection is opened
 *       anew, the write-ahead log is written out and synced, and everything known is read again, before any other commit.
 */
import { Cause, Effect, Exit, Fiber, type Scope } from "effect"
import { asBerthError, berthError, type BerthError } from "../../core/errors.ts"
import type { Failpoints } from "../../core/ports/failpoints.ts"
import type { Seq } from "../../core/record.ts"
import type { Known } from "./known.ts"
import { Plan, type Work } from "./plan.ts"

/** Bounds of one commit. */
const BATCH_JOBS_MAX = 1_000
const BATCH_BYTES_MAX = 8 * 1024 * 1024
/** Jobs that wait for a commit, and their bytes; more are refused with OVERLOADED. */
const WAITING_JOBS_MAX = 50_000
const WAITING_BYTES_MAX = 64 * 1024 * 1024

interface Job {
  readonly work: Work
  readonly settle: (exit: Exit.Exit<Seq, BerthError>) => void
}

export interface Writer {
  /** Settles when the work is durable, or refused. */
  readonly submit: (work: Work) => Effect.Effect<Seq, BerthError>
}

/** Runs until its scope closes; what was offered before that is still written. */
export const makeWriter = (
  known: Known,
  failpoints: Failpoints["Service"],
): Effect.Effect<Writer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const waiting: Job[] = []
    let waitingBytes = 0
    let wake: (() => void) | null = null
    let closing = false

    const take = (): readonly Job[] => {
      let bytes = 0
      let count = 0
      while (count < waiting.length && count < BATCH_JOBS_MAX && bytes < BATCH_BYTES_MAX)
        bytes += sizeOf((waiting[count++] as Job).work)
      waitingBytes -= bytes
      return waiting.splice(0, count)
    }
    const offered = Effect.callback<void>((resume) => {
      // The rest of this turn may offer more.
      const soon = (): void => void setImmediate(() => resume(Effect.void))
      if (waiting.length > 0 || closing) soon()
      else wake = soon
    })
    const loop: Effect.Effect<void> = Effect.gen(function* () {
      while (!closing || waiting.length > 0) {
        yield* offered
        if (waiting.length > 0) yield* commitJobs(known, failpoints, take())
      }
    })
    const submit = (work: Work): Effect.Effect<Seq, BerthError> =>
      Effect.callback<Seq, BerthError>((resume) => {
        if (closing) return resume(Effect.fail(berthError("STORE_UNAVAILABLE", "the store was closed")))
        if (waiting.length >= WAITING_JOBS_MAX || waitingBytes >= WAITING_BYTES_MAX)
          return resume(Effect.fail(berthError("OVERLOADED", "too many appends wait for the disk")))
        waitingBytes += sizeOf(work)
        waiting.push({ work, settle: (exit) => resume(exit) })
        wake?.()
        wake = null
      })
    yield* Effect.acquireRelease(Effect.forkDetach(loop), (fiber) =>
      Effect.suspend(() => {
        closing = true
        wake?.()
        wake = null
        return Fiber.await(fiber)
      }),
    )
    return { submit }
  })

const sizeOf = (work: Work): number => ("encoded" in work ? work.encoded.bytes.byteLength : 0)

/** One commit, and every job of it settled, whatever happens. */
const commitJobs = (known: Known, failpoints: Failpoints["Service"], jobs: readonly Job[]): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* known.repair
    const committed = yield* known.load(jobs.map((job) => job.work))
    const plan = new Plan(committed)
    const exits = jobs.map(({ work }) => attempt(() => plan.decide(work)))
    if (!plan.isEmpty) {
      yield* failpoints.hit("store.beforeCommit")
      yield* known.commit(plan)
      yield* failpoints.hit("store.afterCommit")
      known.absorb(plan)
    }
    jobs.forEach((job, i) => job.settle(exits[i] as Exit.Exit<Seq, BerthError>))
  }).pipe(
    Effect.catchCause((cause) => {
      const error = asBerthError(Cause.squash(cause))
      known.doubt(error)
      for (const job of jobs) job.settle(Exit.fail(error))
      return Effect.void
    }),
  )

const attempt = (decide: () => Seq): Exit.Exit<Seq, BerthError> => {
  try {
    return Exit.succeed(decide())
  } catch (error) {
    return Exit.fail(asBerthError(error))
  }
}
