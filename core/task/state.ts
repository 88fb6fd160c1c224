import type { AttemptResult, AttemptSummary, EffectivePolicy } from "./result.ts"
import type { TaskSpec } from "./spec.ts"
import type { Phase, Status } from "../words.ts"

/** Who runs the current attempt. Present exactly while the status is `running`. */
export interface Holder {
  readonly worker: string
  readonly epoch: number
  /** The epoch at which this run of the program was started; adoptions raise `epoch` and keep this. Names the container; output of this run carries it or a later one. */
  readonly runEpoch: number
  /** Identity of the container engine, or null for handlers and plain processes. */
  readonly engineId: string | null
  /** Null until the container exists; recorded before the program is fed to it. */
  readonly containerId: string | null
  readonly imageDigest: string | null
  /** What the engine said that it enforces; goes into the result, also when another worker finishes the attempt. */
  readonly policy: EffectivePolicy | null
  readonly startedAtMs: number
  /** After this the leader ends the attempt even if its worker says nothing. */
  readonly overdueAtMs: number
}

/** What a lost worker may have left running. */
export interface LeftPlace {
  /** Null for a handler: it was in the lost process. */
  readonly engineId: string | null
  /** Names the place, see `Holder.runEpoch`. */
  readonly runEpoch: number
}

/** A wish to stop, recorded before anything is stopped. `kill` skips the grace period. */
export interface StopRequest {
  readonly mode: "cancel" | "kill"
  readonly by: string
  readonly atMs: number
}

/** The folded state of a task: what one record carries, and all that a decision needs. */
export interface TaskState {
  readonly id: string
  readonly owner: string
  readonly status: Status
  /** As recorded; `phaseShown` gives the one to show. */
  readonly phase: Phase
  /** Counted from 1; only the retry policy or a manual retry raises it. */
  readonly attempt: number
  /** Attempts allowed in all; a manual retry adds one. */
  readonly maxAttempts: number
  /** 0 before the first start; grows by one at every start and adoption, never reset. */
  readonly epoch: number
  readonly spec: TaskSpec
  /** Not admitted before; null: at once. */
  readonly wakeAtMs: number | null
  readonly holder: Holder | null
  readonly stop: StopRequest | null
  /** Workers that died while they ran this task. */
  readonly workerDeaths: number
  /** A lost attempt on another engine may still be running. Sticky until the task ends. */
  readonly overlapPossible: boolean
  /** Places that nobody has seen the end of; whoever starts on the same engine removes them first. Absent: none. */
  readonly left?: readonly LeftPlace[]
  /** Result of the last attempt that ended, or null. */
  readonly result: AttemptResult | null
  /** Attempts that ended before the last one, oldest first, at most `LIMITS.attemptsKeptMax`. */
  readonly history: readonly AttemptSummary[]
  readonly submittedAtMs: number
  readonly updatedAtMs: number
  readonly endedAtMs: number | null
}

/** The epoch that the next start will have; an admission names it, so that a stale wake-up starts nothing. */
export const nextEpoch = (state: TaskState): number => state.epoch + 1

/** What a start on this engine meets, and has to remove before. */
export const leftOn = ({ left = [] }: TaskState, engineId: string | null): readonly LeftPlace[] =>
  left.filter((place) => place.engineId !== null && place.engineId === engineId)

/** Waits for nothing but a slot: belongs into the dispatcher's index. */
export const isAdmissible = (state: TaskState): boolean => state.status === "pending" && state.wakeAtMs === null

/** May a worker that holds an admission for `epoch` start this task now? */
export const isStartable = (state: TaskState, epoch: number, nowMs: number): boolean =>
  state.status === "pending" &&
  epoch === nextEpoch(state) &&
  (state.spec.startByMs === null || nowMs <= state.spec.startByMs)

/**
 * The phase to show: a queue place of which the owner's limit is the reason is `limited`.
 *
 * @param limited - true when the task's owner holds as many slots as it may
 */
export const phaseShown = (state: TaskState, limited: boolean): Phase =>
  limited && state.status === "pending" && state.phase === "queued" ? "limited" : state.phase
