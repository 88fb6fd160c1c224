/** TaskService over the ports: who may see what, and which turn a wish becomes. */
import { Effect } from "effect"
import { type BerthError, berthError } from "../core/errors.ts"
import type { Blobs } from "../core/ports/blobs.ts"
import type { Workers } from "../core/ports/workers.ts"
import type { Seq } from "../core/record.ts"
import { laneAllowed } from "../core/task/prepare.ts"
import { isAtRest } from "../core/words.ts"
import type { Principal, SystemInfo, TaskService, TaskView } from "./api.ts"
import { makeCaughtUp } from "./caughtUp.ts"
import { drainWorker } from "./drain.ts"
import type { Hub } from "./hub.ts"
import { makeKnown } from "./known.ts"
import { purge, type RetentionDeps } from "./leader/retention.ts"
import { makeSubmit, type SubmitDeps } from "./submit.ts"
import type { Turned } from "./turns.ts"
import { viewOf } from "./view.ts"
import { type WatchDeps, watchTask } from "./watch.ts"
import { watchAll } from "./watchAll.ts"

/** Workers tell of themselves that often. */
const WORKERS_KEPT_MS = 250

export interface ServiceDeps extends SubmitDeps, WatchDeps, Omit<RetentionDeps, "config"> {
  readonly hub: Hub
  readonly blobs: Blobs["Service"]
  readonly workers: Workers["Service"]
  /** Slots that the owner holds, where this node knows it; otherwise 0. */
  readonly slotsOf: (owner: string) => number
  /** The log's head as this node knows it. */
  readonly head: Effect.Effect<Seq, BerthError>
  readonly systemInfo: Effect.Effect<SystemInfo, BerthError>
}

const notFound = (taskId: string): BerthError => berthError("NOT_FOUND", `there is no task ${taskId}`)
const mayTouch = (principal: Principal, owner: string): boolean =>
  principal.role === "admin" || principal.owner === owner

const queueStats = Effect.fn("tasks.queueStats")(function* (
  { readModel, workers }: Pick<ServiceDeps, "readModel" | "workers">,
  principal: Principal,
) {
  const counts = yield* readModel.counts(principal.role === "admin" ? null : principal.owner)
  const all = yield* workers.list
  return { ...counts, workers: all, slotsTotal: all.reduce((sum, { slots }) => sum + slots, 0) }
})

export const makeService = (deps: ServiceDeps): TaskService["Service"] => {
  const { blobs, clock, config, log, readModel, turns, workers } = deps

  type Row = Parameters<typeof viewOf>[0]
  const viewer = Effect.map(
    makeKnown(workers.list, clock, WORKERS_KEPT_MS),
    (all) =>
      (row: Row): TaskView =>
        viewOf(row, { workers: all, limited: deps.slotsOf(row.state.owner) >= config.ownerSlotsMax }),
  )
  const viewTurned = ({ seq, state }: Pick<Turned, "seq" | "state">): Effect.Effect<TaskView> =>
    Effect.map(viewer, (view) => view({ state, seq, outputPurged: false }))

  /** The current state, straight from the log; another owner's task is as unknown as none at all. */
  const own = (principal: Principal, taskId: string) =>
    turns
      .load(taskId)
      .pipe(
        Effect.flatMap((loaded) =>
          mayTouch(principal, loaded.state.owner) ? Effect.succeed(loaded) : Effect.fail(notFound(taskId)),
        ),
      )

  /** Whose a task is never changes; so what was seen of it here may be old. That it is still there is for the watch to find. */
  const mayWatch = (principal: Principal, taskId: string): Effect.Effect<unknown, BerthError> => {
    const seen = turns.recent(taskId)
    return seen !== null && mayTouch(principal, seen.state.owner) ? Effect.void : own(principal, taskId)
  }

  const caughtUp = makeCaughtUp(deps)

  const inLog = (taskId: string): Effect.Effect<Row | null, BerthError> =>
    Effect.map(log.last(taskId), (entry) =>
      entry?.record.kind === "task" ? { state: entry.record.state, seq: entry.seq, outputPurged: false } : null,
    )

  const get = Effect.fn("tasks.get")(function* (principal: Principal, taskId: string, minSeq: Seq) {
    yield* caughtUp(minSeq)
    // Whoever heard of a task elsewhere may ask before this node's read model has come so far: the log knows.
    const row = (yield* readModel.get(taskId)) ?? (yield* inLog(taskId))
    if (row === null || !mayTouch(principal, row.state.owner)) return yield* Effect.fail(notFound(taskId))
    return (yield* viewer)(row)
  })

  return {
    submit: makeSubmit(deps),
    get,
    list: Effect.fn("tasks.list")(function* (principal, query, minSeq) {
      yield* caughtUp(minSeq)
      if (query.owner !== undefined && !mayTouch(principal, query.owner)) return { tasks: [], nextCursor: null }
      const owner = query.owner ?? (principal.role === "admin" ? null : principal.owner)
      const { nextCursor, rows } = yield* readModel.list({ ...query, owner })
      return { tasks: rows.map(yield* viewer), nextCursor }
    }),
    update: Effect.fn("tasks.update")(function* (principal, taskId, change) {
      const { lane } = change
      if (lane !== undefined)
        yield* Effect.try({ try: () => laneAllowed(lane, principal.laneMax), catch: (error) => error as BerthError })
      yield* own(principal, taskId)
      return yield* viewTurned(yield* turns.turn(taskId, { type: "update", ...change, nowMs: clock.nowMs() }))
    }),
    cancel: Effect.fn("tasks.cancel")(function* (principal, taskId, mode) {
      yield* own(principal, taskId)
      return yield* viewTurned(
        yield* turns.turn(taskId, { type: "cancel", mode, by: principal.owner, nowMs: clock.nowMs() }),
      )
    }),
    retry: Effect.fn("tasks.retry")(function* (principal, taskId) {
      yield* own(principal, taskId)
      yield* deps.failpoints.hit("retry.beforeAppend")
      return yield* viewTurned(yield* turns.turn(taskId, { type: "retry", by: principal.owner, nowMs: clock.nowMs() }))
    }),
    remove: Effect.fn("tasks.remove")(function* (principal, taskId) {
      const { seq, state } = yield* own(principal, taskId)
      if (!isAtRest(state.status))
        return yield* Effect.fail(
          berthError("WRONG_STATE", `task ${taskId} is ${state.status}; only a task at rest can be deleted`, {
            hint: "Cancel it first.",
          }),
        )
      return { id: taskId, seq: yield* purge(deps, state, seq) }
    }),
    watch: (principal, taskId, fromSeq, follow) => {
      const watching = watchTask(deps, taskId, fromSeq, follow)
      return (sink) => Effect.andThen(mayWatch(principal, taskId), watching(sink))
    },
    watchAll: (principal, fromSeq) => (sink) =>
      Effect.flatMap(fromSeq === null ? log.head : Effect.succeed(fromSeq), (from) =>
        watchAll(deps, from, (owner) => mayTouch(principal, owner))(sink),
      ),
    queueStats: (principal) => queueStats(deps, principal),
    workers: workers.list,
    drainWorker: (worker, draining) => drainWorker(deps, worker, draining),
    systemInfo: deps.systemInfo,
    artifact: Effect.fn("tasks.artifact")(function* (principal, taskId, path) {
      // From the log: whoever saw the end in a watch may be ahead of this node's read model.
      const { state } = yield* own(principal, taskId)
      const artifact = state.result?.artifacts.find((candidate) => candidate.path === path)
      const bytes = artifact === undefined ? null : yield* blobs.get(artifact.blobKey)
      return (
        bytes ??
        (yield* Effect.fail(berthError("NOT_FOUND", `task ${taskId} has no artifact of this path`, { path: "path" })))
      )
    }),
    headSeq: deps.head,
    seenSeq: readModel.checkpoint,
  }
}
