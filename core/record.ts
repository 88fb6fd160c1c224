import type { TaskFact } from "./task/facts.ts"
import type { TaskState } from "./task/state.ts"
import type { OutputStream } from "./words.ts"

/** Position in the log. Increasing over the whole log; 0 is before the first entry. Also the opaque version of a subject. */
export type Seq = number

/** What one append writes on `t.<id>.s`: 1 to 64 facts and the state after them. */
export interface TaskRecord {
  readonly kind: "task"
  /** Unique; tells whether an append whose reply was lost is mine. */
  readonly recordId: string
  readonly facts: readonly TaskFact[]
  readonly state: TaskState
}

/** What one append writes on `t.<id>.o`: what an attempt printed or reported. Readers drop stale epochs and repeats. */
export interface OutputRecord {
  readonly kind: "output"
  readonly owner: string
  readonly epoch: number
  readonly attempt: number
  readonly items: readonly OutputItem[]
}

export type OutputItem =
  /** Bytes of one stream, by offset from the attempt's begin. */
  | { readonly type: "chunk"; readonly stream: OutputStream; readonly offset: number; readonly bytes: Uint8Array }
  /** `bytes` of this stream from `offset` on were not kept; null: nobody knows how many. */
  | { readonly type: "gap"; readonly stream: OutputStream; readonly offset: number; readonly bytes: number | null }
  | { readonly type: "progress"; readonly offset: number; readonly data: unknown; readonly atMs: number }

/** One admission: from here until the task's record says otherwise, it holds a slot. */
export interface Admission {
  readonly taskId: string
  readonly owner: string
  readonly pool: string
  readonly epoch: number
}

/** What one append writes on `control`. */
export interface ControlRecord {
  readonly kind: "control"
  readonly recordId: string
  /** The level of records in force from here on; left out: the first. */
  readonly level?: number
  readonly fact:
    | { readonly type: "termBegan"; readonly node: string; readonly term: number; readonly atMs: number }
    | {
        readonly type: "admitted"
        readonly term: number
        readonly admissions: readonly Admission[]
        readonly atMs: number
      }
    /** From here on `level` is higher than before; everybody who was there can read it. */
    | { readonly type: "levelRaised"; readonly term: number; readonly atMs: number }
    /** What retention has taken out of the log, for read models that are elsewhere: removing leaves nothing that they could read. */
    | {
        readonly type: "purged"
        readonly term: number
        readonly outputs: readonly string[]
        readonly tombstones: readonly string[]
        readonly atMs: number
      }
}

/** What retention leaves of a task, for as long as a repeat must be recognised. */
export interface TombstoneRecord {
  readonly kind: "tombstone"
  readonly id: string
  readonly owner: string
  readonly requestHash: string
  readonly status: string
  readonly submittedAtMs: number
  readonly atMs: number
}

export type LogRecord = TaskRecord | OutputRecord | ControlRecord | TombstoneRecord

/** One entry of the feed, in log order. */
export interface LogEntry<R extends LogRecord = LogRecord> {
  readonly seq: Seq
  readonly subject: string
  readonly record: R
}

/** True for the first record of a task: there is nothing of it before. */
export const isFirst = ({ record }: LogEntry): boolean =>
  record.kind === "task" && record.facts[0]?.type === "submitted"

export const CONTROL_SUBJECT = "control"
/** Stands for all subjects where a reader may ask for the first record after a sequence. */
export const ANY_SUBJECT = ">"
export const stateSubject = (taskId: string): string => `t.${taskId}.s`
export const outputSubject = (taskId: string): string => `t.${taskId}.o`
/** Ids become subjects, file names and container names. */
export const ID_PATTERN = /^[A-Za-z0-9_-]{1,64}$/
