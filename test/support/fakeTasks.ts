/**
 * A TaskService in memory, for tests of the door: it remembers what reached it, and does nothing by itself. Tests move its
 * tasks with `emit`; watchers get what was emitted, from any sequence.
 */
import { Effect, Stream } from "effect"
import type { Principal, SystemInfo, TaskService, TaskView, WatchEvent } from "../../actors/api.ts"
import { resolveConfig } from "../../core/config.ts"
import { asBerthError, berthError, type BerthError } from "../../core/errors.ts"
import { laneAllowed, prepare } from "../../core/task/prepare.ts"
import type { SubmitRequest } from "../../core/task/request.ts"
import { LANES, STATUSES } from "../../core/words.ts"
import { FAKE_WORKER, pendingView } from "./fakeViews.ts"
import { pouring } from "../../actors/watchAll.ts"

type Service = TaskService["Service"]
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
/** An event without the parts that the fake fills in. */
export type FakeEvent = DistributiveOmit<WatchEvent, "seq" | "taskId"> & { readonly live?: boolean }

interface Stored {
  view: TaskView
  readonly requestHash: string
  readonly key: string | null
}

export interface FakeTasks {
  readonly service: Service
  /** Every request that was taken. */
  readonly submitted: readonly SubmitRequest[]
  /** Every call of the service, as `name id`. */
  readonly calls: readonly string[]
  /** Puts a task there without a submit. */
  readonly add: (owner: string, more?: Partial<TaskView>) => TaskView
  /** Appends one event to a task's log and wakes its watchers. */
  readonly emit: (taskId: string, event: FakeEvent) => void
  /** Everything that happened, in the order of the log. */
  readonly log: readonly WatchEvent[]
  /** Watches that are being pulled. */
  readonly watching: () => number
  /** Events that were handed to watchers. */
  readonly handedOut: () => number
  /** While set, every call but systemInfo does this first. */
  hold: Effect.Effect<void, BerthError> | null
  /** What `artifact` answers, by `id path`. */
  readonly artifacts: Map<string, Uint8Array>
  ready: boolean
}

const zeros = <W extends string>(words: readonly W[]) =>
  Object.fromEntries(words.map((word) => [word, 0])) as Record<W, number>

const CONFIG = resolveConfig({})
/** What the real service refuses for the request's own sake, the fake refuses too. */
const judged = <A>(judge: () => A): Effect.Effect<A, BerthError> => Effect.try({ try: judge, catch: asBerthError })

export function fakeTasks(nowMs: () => number = () => 1_750_000_000_000): FakeTasks {
  const stored = new Map<string, Stored>()
  const log: WatchEvent[] = []
  const submitted: SubmitRequest[] = []
  const calls: string[] = []
  const wakers = new Set<() => void>()
  const artifacts = new Map<string, Uint8Array>()
  let seq = 0
  let made = 0
  let watching = 0
  let handedOut = 0

  const wake = (): void => {
    const woken = [...wakers]
    wakers.clear()
    for (const each of woken) each()
  }
  const state = (view: TaskView, facts: readonly string[]): TaskView => {
    const task = { ...view, seq: ++seq, updatedAtMs: nowMs() }
    const entry = stored.get(task.id)
    if (entry !== undefined) entry.view = task
    log.push({ type: "state", seq, taskId: task.id, facts, task })
    wake()
    return task
  }
  const add: FakeTasks["add"] = (owner, more = {}) => {
    const view = pendingView({ id: `task-${++made}`, owner, nowMs: nowMs() }, more)
    stored.set(view.id, { view, requestHash: "", key: null })
    return state(view, ["submitted"])
  }
  const emit: FakeTasks["emit"] = (taskId, { live = false, ...event }) => {
    log.push({ ...event, taskId, seq: live ? null : ++seq } as WatchEvent)
    wake()
  }
  const own = (principal: Principal, id: string): Effect.Effect<Stored, BerthError> =>
    Effect.suspend(() => {
      const entry = stored.get(id)
      return entry !== undefined && (principal.role === "admin" || entry.view.owner === principal.owner)
        ? Effect.succeed(entry)
        : Effect.fail(berthError("NOT_FOUND", `no task ${id}`))
    })
  const fake: { hold: FakeTasks["hold"]; ready: boolean } = { hold: null, ready: true }
  const called = <A>(name: string, effect: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
    Effect.suspend(() => {
      calls.push(name)
      return fake.hold === null ? effect : Effect.andThen(fake.hold, effect)
    })
  const change = (name: string, principal: Principal, id: string, next: (view: TaskView) => TaskView) =>
    called(
      `${name} ${id}`,
      Effect.map(own(principal, id), ({ view }) => state(next(view), [name])),
    )

  const follow = (
    wanted: (event: WatchEvent) => boolean,
    fromSeq: number,
    endsAtEnd: boolean,
  ): Stream.Stream<WatchEvent, BerthError> =>
    Stream.unwrap(
      Effect.sync(() => {
        let at = 0
        watching++
        const next: Effect.Effect<WatchEvent> = Effect.suspend(() => {
          for (; at < log.length; at++) {
            const event = log[at]
            if (event !== undefined && wanted(event) && (event.seq === null || event.seq > fromSeq)) {
              at++
              handedOut++
              return Effect.succeed(event)
            }
          }
          return Effect.andThen(
            Effect.callback<void>((resume) => {
              const waker = () => resume(Effect.void)
              wakers.add(waker)
              return Effect.sync(() => wakers.delete(waker))
            }),
            next,
          )
        })
        const events = Stream.fromEffectRepeat(next)
        return Stream.ensuring(
          endsAtEnd ? Stream.takeUntil(events, (event) => event.type === "end") : events,
          Effect.sync(() => void watching--),
        )
      }),
    )

  const service: Service = {
    submit: (principal, request, requestHash) =>
      called(
        "submit",
        Effect.suspend((): Effect.Effect<{ task: TaskView; duplicate: boolean }, BerthError> => {
          const key = request.idempotencyKey === undefined ? null : `${principal.owner} ${request.idempotencyKey}`
          const before = [...stored.values()].find((other) => key !== null && other.key === key)
          if (before !== undefined) {
            return before.requestHash === requestHash
              ? Effect.succeed({ task: before.view, duplicate: true })
              : Effect.fail(
                  berthError("IDEMPOTENCY_MISMATCH", "this key belongs to another request", {
                    path: "params.idempotencyKey",
                  }),
                )
          }
          const { laneMax, owner } = principal
          const context = { config: CONFIG, laneMax, handlers: null, nowMs: nowMs(), requestHash }
          return Effect.map(
            judged(() => prepare(request, context)),
            ({ spec: { labels, lane } }) => {
              submitted.push(request)
              const task = add(owner, { lane, labels })
              stored.set(task.id, { view: task, requestHash, key })
              return { task, duplicate: false }
            },
          )
        }),
      ),
    get: (principal, id) =>
      called(
        `get ${id}`,
        Effect.map(own(principal, id), ({ view }) => view),
      ),
    list: (principal, { owner, statuses, lanes, dead, rowsMax, cursor }) =>
      called(
        "list",
        Effect.sync(() => {
          const mine = [...stored.values()]
            .map(({ view }) => view)
            .filter((view) =>
              principal.role === "admin" ? owner === undefined || view.owner === owner : view.owner === principal.owner,
            )
            .filter((view) => statuses?.includes(view.status) ?? true)
            .filter((view) => lanes?.includes(view.lane) ?? true)
            .filter((view) => dead !== true || view.status === "failed" || view.status === "timeout")
            .reverse()
          const from = cursor === null ? 0 : Number(cursor)
          const tasks = mine.slice(from, from + rowsMax)
          return { tasks, nextCursor: from + rowsMax < mine.length ? String(from + rowsMax) : null }
        }),
      ),
    update: (principal, id, { lane, labels }) =>
      Effect.andThen(
        judged(() => laneAllowed(lane, principal.laneMax)),
        change("updated", principal, id, (view) => ({ ...view, ...(lane && { lane }), ...(labels && { labels }) })),
      ),
    cancel: (principal, id, mode) => change(mode, principal, id, (view) => ({ ...view, stopRequested: mode })),
    retry: (principal, id) =>
      change("retried", principal, id, (view) => ({ ...view, status: "pending", phase: "queued" })),
    remove: (principal, id) =>
      called(
        `remove ${id}`,
        Effect.map(own(principal, id), () => {
          stored.delete(id)
          return { id, seq: ++seq }
        }),
      ),
    watch: (principal, id, fromSeq, follows = true) =>
      pouring(
        Stream.unwrap(
          Effect.map(called(`watch ${id}`, own(principal, id)), () =>
            follows
              ? follow((event) => event.taskId === id, fromSeq, true)
              : Stream.fromIterable(log.filter((event) => event.taskId === id && (event.seq ?? 0) > fromSeq)),
          ),
        ),
      ),
    watchAll: (principal, fromSeq) =>
      pouring(
        follow(
          (event) => event.type === "state" && (principal.role === "admin" || event.task.owner === principal.owner),
          fromSeq ?? seq,
          false,
        ),
      ),
    workers: Effect.succeed([FAKE_WORKER]),
    drainWorker: (worker, draining) =>
      called(
        `drain ${worker} ${draining}`,
        worker === FAKE_WORKER.worker
          ? Effect.succeed({ ...FAKE_WORKER, draining })
          : Effect.fail(berthError("NOT_FOUND", `there is no worker ${worker}`)),
      ),
    queueStats: () =>
      called(
        "queueStats",
        Effect.sync(() => ({
          byStatus: { ...zeros(STATUSES), pending: stored.size },
          pendingByLane: zeros(LANES),
          slotsHeld: 0,
          workers: [],
          slotsTotal: 0,
        })),
      ),
    systemInfo: Effect.sync(
      (): SystemInfo => ({
        version: "0.0.0",
        clusterId: "fake",
        nodeId: "fake-1",
        roles: ["gateway"],
        store: "memory",
        durability: "memory",
        leader: false,
        leaderNode: null,
        ready: fake.ready,
        trouble: fake.ready ? null : "not yet",
        headSeq: seq,
        checkpointSeq: seq,
        recordLevel: {
          inForce: 1,
          readable: 2,
          heldBackBy: [{ node: "n7", version: "0.0.0", roles: ["gateway", "leader"], host: "h1", level: 1 }],
        },
        executors: [],
        backends: [],
        slotDrift: 0,
        repairs: 0,
        startedAtMs: 0,
        nowMs: nowMs(),
      }),
    ),
    artifact: (principal, id, path) =>
      called(
        `artifact ${id} ${path}`,
        Effect.flatMap(own(principal, id), () => {
          const bytes = artifacts.get(`${id} ${path}`)
          return bytes === undefined ? Effect.fail(berthError("NOT_FOUND", "no such artifact")) : Effect.succeed(bytes)
        }),
      ),
    headSeq: Effect.sync(() => seq),
    seenSeq: Effect.sync(() => seq),
  }
  return Object.assign(fake, {
    service,
    submitted,
    calls,
    log,
    add,
    emit,
    watching: () => watching,
    handedOut: () => handedOut,
    artifacts,
  })
}
