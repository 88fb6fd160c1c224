import { Context, type Effect } from "effect"
import type { BerthError } from "../errors.ts"
import type { AttemptResult, Artifact, EffectivePolicy } from "../task/result.ts"
import type { Program, TaskSpec } from "../task/spec.ts"
import type { EndReason, Isolation, OutputStream } from "../words.ts"

/** All that an executor needs to know of one attempt. */
export interface Job {
  readonly taskId: string
  readonly owner: string
  readonly attempt: number
  readonly epoch: number
  readonly worker: string
  readonly spec: TaskSpec
  readonly program: Program
  /** Which of the worker's slots this is, 0-based; user ids come from it. */
  readonly slot: number
}

/** Where an attempt's program will run, or runs. `id` is null where nothing outlives the process (handlers). */
export interface Placement {
  readonly containerId: string | null
  readonly imageDigest: string | null
  readonly policy: EffectivePolicy | null
}

/** What the executor tells while the program runs. Every method returns at once or applies back-pressure by its effect. */
export interface AttemptSink {
  /** The program itself began. Called once, before any output. */
  readonly began: Effect.Effect<void>
  /** Bytes of the program's own output, in order per stream, exact; `offset` counts from the program's begin. */
  readonly write: (stream: OutputStream, offset: number, bytes: Uint8Array) => Effect.Effect<void>
  /** Bytes from `offset` on that cannot be had any more; null: nobody knows how many. */
  readonly lost: (stream: OutputStream, offset: number, bytes: number | null) => Effect.Effect<void>
  readonly progress: (data: unknown) => Effect.Effect<void>
}

/** How the program ended, before anything was collected. */
export interface Exit {
  readonly status: AttemptResult["status"]
  readonly reason: EndReason
  readonly message: string | null
  readonly exitCode: number | null
  readonly signal: string | null
  readonly wallMs: number | null
  readonly cpuMs: number | null
  readonly memoryPeakBytes: number | null
  readonly value: unknown
}

export type StopMode = "cancel" | "kill" | "deadline"

/**
 * Runs attempts on one backend. An expected failure of the backend is a BerthError: `retryable` ones are infrastructure's and use
 * up nobody's attempt; `terminal` ones refuse the task. What the program itself does is never an error: it is an `Exit`.
 *
 *   EX1. `create` makes the place and starts nothing; the caller records it before `run`. What takes long (an image that has to be
 *        brought) is told as progress.
 *   EX2. `run` feeds and starts the program, streams to the sink, and returns after the program ended and all its output
 *        was written to the sink. Interrupting it stops nothing by itself.
 *   EX3. `stop` is idempotent and prompt: `cancel` and `deadline` send SIGTERM, then after `graceMs` SIGKILL; `kill` at once. `run` then returns.
 *   EX4. `adopt` re-attaches to a place made by a predecessor and then behaves as `run`: output from the given offsets on, exactly once.
 *   EX5. `collect` is called after `run` or `adopt`, while the place still exists.
 *   EX6. `remove` leaves nothing behind, whatever the state; removing twice is no error.
 *   EX7. `pause` and `unpause` hold a running program for the fence; nothing is lost by it. `pause` answers false where
 *        there is nothing to hold yet: it must be asked again.
 *   EX8. `detach` lets go of a running place without harming it, for a successor to adopt.
 *   EX9. The time limit is enforced also where this process is gone.
 */
export interface ExecutorShape {
  readonly name: "docker" | "handler" | "process"
  readonly kinds: readonly Program["kind"][]
  readonly engineId: Effect.Effect<string | null, BerthError>
  /** The isolation classes that the backend has, asked anew; empty where programs are not isolated at all. */
  readonly isolations: Effect.Effect<readonly Isolation[], BerthError>
  /** False while the backend's breaker is open: nothing should be started. */
  readonly accepting: () => boolean
  readonly create: (job: Job, progress?: AttemptSink["progress"]) => Effect.Effect<Placement, BerthError>
  readonly run: (job: Job, place: Placement, sink: AttemptSink) => Effect.Effect<Exit, BerthError>
  readonly adopt: (
    job: Job,
    place: Placement,
    sink: AttemptSink,
    offsets: Readonly<Record<OutputStream, number>>,
  ) => Effect.Effect<Exit, BerthError>
  readonly stop: (job: Job, place: Placement, mode: StopMode) => Effect.Effect<void, BerthError>
  readonly collect: (
    job: Job,
    place: Placement,
    keep: (path: string, bytes: Uint8Array) => Effect.Effect<Artifact, BerthError>,
  ) => Effect.Effect<{ readonly artifacts: readonly Artifact[]; readonly missing: string | null }, BerthError>
  readonly remove: (job: Pick<Job, "taskId" | "epoch">, place: Placement) => Effect.Effect<void, BerthError>
  readonly pause: (place: Placement) => Effect.Effect<boolean, BerthError>
  readonly unpause: (place: Placement) => Effect.Effect<void, BerthError>
  readonly detach: (job: Job, place: Placement) => Effect.Effect<void, BerthError>
  /** Places of this cluster that exist on the backend, of the named workers or (null) of any, for sweeping and adoption. */
  readonly places: (workers: readonly string[] | null) => Effect.Effect<readonly FoundPlace[], BerthError>
}

/** A place found on the backend. Labels only find candidates; the log binds a place to a task. */
export interface FoundPlace {
  readonly containerId: string
  readonly worker: string
  /** Whose attempt its name says that it is; null for a place without such a name. */
  readonly taskId: string | null
  readonly running: boolean
}

/** The executors of this worker, one per kind of program. */
export class Executors extends Context.Service<
  Executors,
  { readonly all: readonly ExecutorShape[]; readonly forKind: (kind: Program["kind"]) => ExecutorShape | null }
>()("core/ports/Executors") {}
