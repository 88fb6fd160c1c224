/**
 * Accepting a task. With an idempotency key the id is a hash of owner and key, so that a second submit meets the first one
 * at version 0 of the same subject: no index and no window decides it, the log does. Whatever would refuse a new task today
 * (the clock, the limits, the token) does not refuse a repeat of one that was accepted.
 */
import { createHash } from "node:crypto"
import { Effect, Latch } from "effect"
import type { Config } from "../core/config.ts"
import { asBerthError, type BerthError, berthError } from "../core/errors.ts"
import type { Clock } from "../core/ports/clock.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import type { Failpoints } from "../core/ports/failpoints.ts"
import type { Random } from "../core/ports/random.ts"
import type { ReadModel } from "../core/ports/readModel.ts"
import type { LogEntry, TaskRecord } from "../core/record.ts"
import type { TaskFact } from "../core/task/facts.ts"
import { prepare } from "../core/task/prepare.ts"
import { reduce } from "../core/task/reduce.ts"
import type { SubmitRequest } from "../core/task/request.ts"
import { isSurelyAbsent } from "./appendOnce.ts"
import type { Principal, TaskView } from "./api.ts"
import type { Programs } from "./programs.ts"
import type { Turns } from "./turns.ts"
import { NOTHING_KNOWN, viewOf, viewOfTombstone } from "./view.ts"

/** How long a count of an owner's waiting tasks is believed. */
const COUNT_TRUST_MS = 1_000
const OWNERS_COUNTED_MAX = 10_000

/** How many tasks of an owner wait, as far as is known here. */
interface Count {
  /** So long it is believed. */
  untilMonoMs: number
  pending: number
  /** Opens when they have been counted anew; null: nobody counts. */
  counting: Latch.Latch | null
}

export interface SubmitDeps {
  readonly config: Config
  readonly log: EventLog["Service"]
  readonly readModel: ReadModel["Service"]
  readonly turns: Turns["Service"]
  readonly programs: Programs["Service"]
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  readonly failpoints: Failpoints["Service"]
  /** Registered handlers, or null when other workers may have others. */
  readonly handlers: readonly string[] | null
  /** Told with the task's first entry, once that is durable. */
  readonly onSubmitted: (first: LogEntry<TaskRecord>) => void
}

/** 160 bits of SHA-256, in hex; owner and key are separated by a byte that neither may hold. */
export const keyedId = (owner: string, key: string): string =>
  `k${createHash("sha256").update(`${owner}\0${key}`).digest("hex").slice(0, 40)}`

/**
 * Whether nobody will ever want the program of a submit that failed so. Under a key the same request may be on its way beside
 * this one, or come again, with the same blob: only when the key is another task's for good is ours of no use.
 */
const isOrphan = (error: BerthError, key: string | undefined): boolean =>
  key === undefined ? isSurelyAbsent(error) : error.code === "VERSION_CONFLICT"

export const makeSubmit = (deps: SubmitDeps) => {
  const { clock, config, failpoints, log, readModel } = deps
  const counted = new Map<string, Count>()

  const countOf = (owner: string): Count => {
    const known = counted.get(owner)
    if (known !== undefined) return known
    if (counted.size >= OWNERS_COUNTED_MAX) counted.clear()
    // Until they are counted, nobody knows of room.
    const made: Count = { untilMonoMs: Number.NEGATIVE_INFINITY, pending: config.ownerPendingMax, counting: null }
    counted.set(owner, made)
    return made
  }

  /** One counts for all. */
  const count = (owner: string, own: Count): Effect.Effect<void, BerthError> =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        own.counting = Latch.makeUnsafe(false)
        return { done: own.counting, known: own.pending }
      }),
      ({ known }) =>
        Effect.map(readModel.counts(owner), ({ byStatus }) => {
          own.pending += byStatus.pending - known
          own.untilMonoMs = clock.monoMs() + COUNT_TRUST_MS
        }),
      ({ done }) =>
        Effect.sync(() => {
          own.counting = null
          done.openUnsafe()
        }),
    )

  /** Counts one more; gives what takes it back. Nobody is refused on an old count: whoever would be waits for the new one. */
  const refuseTooMany = (owner: string): Effect.Effect<() => void, BerthError> =>
    Effect.suspend(() => {
      const own = countOf(owner)
      if (own.counting === null && own.untilMonoMs < clock.monoMs())
        return Effect.andThen(count(owner, own), refuseTooMany(owner))
      if (own.pending < config.ownerPendingMax) {
        own.pending += 1
        return Effect.succeed(() => {
          own.pending -= 1
        })
      }
      if (own.counting !== null) return Effect.andThen(own.counting.await, refuseTooMany(owner))
      return Effect.fail(berthError("OVERLOADED", `${config.ownerPendingMax} tasks of ${owner} are waiting already`))
    })

  /** The log has a task of this id: is it the same request? */
  const repeated = (taskId: string, requestHash: string): Effect.Effect<TaskView, BerthError> =>
    log.last(taskId).pipe(
      Effect.flatMap((entry) => {
        if (entry === null) return Effect.fail(berthError("STORE_UNAVAILABLE", `task ${taskId} is just being removed`))
        const { record, seq } = entry
        const firstHash = record.kind === "task" ? record.state.spec.requestHash : record.requestHash
        if (firstHash !== requestHash)
          return Effect.fail(
            berthError("IDEMPOTENCY_MISMATCH", "this idempotency key was used for another request", {
              path: "params.idempotencyKey",
            }),
          )
        return Effect.succeed(
          record.kind === "task"
            ? viewOf({ state: record.state, seq, outputPurged: false }, NOTHING_KNOWN)
            : viewOfTombstone(record, seq),
        )
      }),
    )

  /** Fails, unless the log has this task already; then null. */
  const unlessRepeated = (
    taskId: string,
    key: string | undefined,
    error: BerthError,
  ): Effect.Effect<null, BerthError> =>
    Effect.flatMap(
      key === undefined ? Effect.succeed(null) : Effect.catch(log.last(taskId), () => Effect.fail(error)),
      (earlier) => (earlier === null ? Effect.fail(error) : Effect.succeed(null)),
    )

  return Effect.fnUntraced(function* (principal: Principal, request: SubmitRequest, requestHash: string) {
    const { owner, laneMax } = principal
    const nowMs = clock.nowMs()
    const taskId = request.idempotencyKey === undefined ? deps.random.id() : keyedId(owner, request.idempotencyKey)
    const duplicate = Effect.map(repeated(taskId, requestHash), (task) => ({ task, duplicate: true }))
    const taken = Effect.gen(function* () {
      const { program, spec } = yield* Effect.try({
        try: () => prepare(request, { config, laneMax, handlers: deps.handlers, nowMs, requestHash }),
        catch: asBerthError,
      })
      const giveBack = yield* refuseTooMany(owner)
      const ref = yield* Effect.tapError(deps.programs.keep(taskId, program), () => Effect.sync(giveBack))
      return { program, spec, giveBack, ref }
    })
    // A repeat is rare, and the log refuses it: it is only asked beforehand where a new task would be refused.
    const room = yield* Effect.catch(taken, (error) => unlessRepeated(taskId, request.idempotencyKey, error))
    if (room === null) return yield* duplicate
    const { giveBack, program, ref, spec } = room
    const fact: TaskFact = { type: "submitted", id: taskId, owner, spec, program: ref, atMs: nowMs }
    const state = reduce(null, fact)
    yield* failpoints.hit("submit.beforeAppend")
    const first = yield* deps.turns.begin(state, fact).pipe(
      Effect.tapError((error) => {
        if (isSurelyAbsent(error)) giveBack()
        return isOrphan(error, request.idempotencyKey) ? Effect.ignore(deps.programs.discard(taskId, ref)) : Effect.void
      }),
      Effect.catch((error) =>
        error.code === "VERSION_CONFLICT" && request.idempotencyKey !== undefined
          ? Effect.succeed(null)
          : unlessRepeated(taskId, request.idempotencyKey, error),
      ),
    )
    if (first === null) return yield* duplicate
    if ("inline" in ref) deps.programs.remember(taskId, program)
    yield* failpoints.hit("submit.afterAppend")
    deps.onSubmitted(first)
    return { task: viewOf({ state, seq: first.seq, outputPurged: false }, NOTHING_KNOWN), duplicate: false }
  })
}
