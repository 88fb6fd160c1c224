/**
 * What the gateway may ask of the actors. Everything below is scoped by the principal: another owner's task looks exactly
 * like one that does not exist.
 */
import { Context, type Effect } from "effect"
import type { BerthError } from "../core/errors.ts"
import type { NodeLevel } from "../core/nodeLease.ts"
import type { Durability } from "../core/ports/eventLog.ts"
import type { WorkerInfo } from "../core/ports/workers.ts"
import type { Counts, ListQuery } from "../core/readmodel/row.ts"
import type { Seq } from "../core/record.ts"
import type { SubmitRequest } from "../core/task/request.ts"
import type { AttemptResult, AttemptSummary } from "../core/task/result.ts"
import type { TaskSpec } from "../core/task/spec.ts"
import type { Lane, OutputStream, Phase, Status, WaitingFor } from "../core/words.ts"
import type { BreakerChange } from "./executor/stack/breaker.ts"
import type { BackendView } from "./executor/stack/backend.ts"

/** Who asks. `owner` is the token's `sub`. */
export interface Principal {
  readonly owner: string
  readonly role: "user" | "admin"
  /** The most urgent lane that this principal may use. */
  readonly laneMax: Lane
}

/** A task as its owner may see it: no environment values, no program text. */
export interface TaskView {
  readonly id: string
  readonly owner: string
  readonly status: Status
  readonly phase: Phase
  /** Why it does not go on; null where it does, rests, or nobody knows. */
  readonly waitingFor: WaitingFor | null
  readonly attempt: number
  readonly maxAttempts: number
  readonly epoch: number
  readonly kind: TaskSpec["kind"]
  readonly target: string
  readonly lane: Lane
  readonly pool: string
  readonly labels: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly startAtMs: number | null
  readonly startByMs: number | null
  readonly wakeAtMs: number | null
  readonly worker: string | null
  readonly containerId: string | null
  readonly stopRequested: "cancel" | "kill" | null
  readonly result: AttemptResult | null
  readonly history: readonly AttemptSummary[]
  readonly outputPurged: boolean
  readonly submittedAtMs: number
  readonly updatedAtMs: number
  readonly endedAtMs: number | null
  /** Sequence of the record that this view shows. */
  readonly seq: Seq
}

/** A backend's circuit breaker changed its state. Sent live and not kept: `system.info` has the present state. */
export interface BackendEvent extends BreakerChange {
  readonly type: "backend"
  readonly seq: null
  /** Whose breaker it is: every node has its own. */
  readonly node: string
}

/** One event of a watch. `seq` is null only for what is sent live and not kept. */
export type WatchEvent =
  | {
      readonly type: "state"
      readonly seq: Seq
      readonly taskId: string
      readonly facts: readonly string[]
      readonly task: TaskView
    }
  | {
      readonly type: "output"
      readonly seq: Seq | null
      readonly taskId: string
      readonly attempt: number
      readonly epoch: number
      readonly stream: OutputStream
      readonly offset: number
      readonly bytes: Uint8Array
    }
  | {
      readonly type: "gap"
      readonly seq: Seq
      readonly taskId: string
      readonly attempt: number
      readonly epoch: number
      readonly stream: OutputStream
      readonly offset: number
      readonly bytes: number | null
    }
  | {
      readonly type: "progress"
      readonly seq: Seq
      readonly taskId: string
      readonly attempt: number
      readonly epoch: number
      readonly data: unknown
      readonly atMs: number
    }
  /** The task is at rest and everything up to here was sent. The watch ends after it. */
  | { readonly type: "end"; readonly seq: Seq; readonly taskId: string; readonly status: Status }

/** Where the events of a watch go. */
export interface WatchSink<in E> {
  /** Takes one event, at once. */
  readonly put: (event: E) => void
  /** Nothing should be put now: what is durable waits, what is not is left out. */
  readonly isFull: () => boolean
  /** Waits while it is full. */
  readonly room: Effect.Effect<void>
}

/** A watch, which begins when it is run, and lives until its end or its interruption. */
export type Watching<E> = (sink: WatchSink<E>) => Effect.Effect<void, BerthError>

export interface SystemInfo {
  readonly version: string
  readonly clusterId: string
  readonly nodeId: string
  readonly roles: readonly string[]
  readonly store: "sqlite" | "memory" | "jetstream"
  readonly durability: Durability
  /** True while this node leads and decides. */
  readonly leader: boolean
  /** Id of the node that leads, as far as this one knows. */
  readonly leaderNode: string | null
  readonly ready: boolean
  /** Why this node is not ready; null: it is. */
  readonly trouble: string | null
  readonly headSeq: Seq
  readonly checkpointSeq: Seq
  /** Levels of the log's records (core/recordLevel.ts). */
  readonly recordLevel: {
    /** What is written now. */
    readonly inForce: number
    /** What this node reads at most. */
    readonly readable: number
    /** Nodes that read less than others: the level is not raised while they are there. */
    readonly heldBackBy: readonly NodeLevel[]
  }
  readonly executors: readonly {
    readonly name: string
    readonly accepting: boolean
    readonly detail: Readonly<Record<string, unknown>>
  }[]
  /** One for each engine, for image pulls and for blobs. */
  readonly backends: readonly BackendView[]
  readonly slotDrift: number
  readonly repairs: number
  readonly startedAtMs: number
  readonly nowMs: number
}

export interface QueueStats extends Counts {
  readonly workers: readonly WorkerInfo[]
  readonly slotsTotal: number
}

type Answer<A> = Effect.Effect<A, BerthError>

export class TaskService extends Context.Service<
  TaskService,
  {
    /** Returns after the log is durable (I1). `duplicate` is true when the idempotency key was seen before. */
    readonly submit: (
      principal: Principal,
      request: SubmitRequest,
      requestHash: string,
    ) => Answer<{ readonly task: TaskView; readonly duplicate: boolean }>
    /** @param minSeq - waits (bounded) until the read model has seen at least this sequence */
    readonly get: (principal: Principal, taskId: string, minSeq: Seq) => Answer<TaskView>
    readonly list: (
      principal: Principal,
      query: Omit<ListQuery, "owner"> & { readonly owner?: string },
      minSeq: Seq,
    ) => Answer<{ readonly tasks: readonly TaskView[]; readonly nextCursor: string | null }>
    readonly update: (
      principal: Principal,
      taskId: string,
      change: { readonly lane?: Lane; readonly labels?: Readonly<Record<string, string>> },
    ) => Answer<TaskView>
    readonly cancel: (principal: Principal, taskId: string, mode: "cancel" | "kill") => Answer<TaskView>
    readonly retry: (principal: Principal, taskId: string) => Answer<TaskView>
    /** Purges a task at rest: output, artifacts and records; a tombstone stays. */
    readonly remove: (principal: Principal, taskId: string) => Answer<{ readonly id: string; readonly seq: Seq }>
    /**
     * Everything of one task after `fromSeq`, in log order, then live; ends after `end`. Where `follow` is false it ends
     * with what the log holds now.
     */
    readonly watch: (principal: Principal, taskId: string, fromSeq: Seq, follow?: boolean) => Watching<WatchEvent>
    /** State events of all tasks that the principal may see, after `fromSeq` (null: from now on), and changes of backends as they come; never ends by itself. */
    readonly watchAll: (principal: Principal, fromSeq: Seq | null) => Watching<WatchEvent | BackendEvent>
    readonly queueStats: (principal: Principal) => Answer<QueueStats>
    /** Every worker of the cluster. */
    readonly workers: Answer<readonly WorkerInfo[]>
    /** Resolves when the worker says that it starts nothing more, or, with `false`, that it does again. */
    readonly drainWorker: (worker: string, draining: boolean) => Answer<WorkerInfo>
    readonly systemInfo: Answer<SystemInfo>
    readonly artifact: (principal: Principal, taskId: string, path: string) => Answer<Uint8Array>
    /** Sequence of the newest durable entry that this node knows. */
    readonly headSeq: Answer<Seq>
    /** Reads of this node show everything up to here: what the answer to a read may promise of others. */
    readonly seenSeq: Answer<Seq>
  }
>()("actors/TaskService") {}
