/**
 * One commit before it is written: every job of a batch is decided here, in order, over what is committed and what the
 * jobs before it in the batch do. Compare-and-set happens here and nowhere else: this process is the only writer.
 *
 *   P1. A job that is refused changes nothing; the others of its batch go on.
 *   P2. Nothing outside the plan changes until the commit has returned.
 */
import { berthError, BerthError } from "../../core/errors.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import {
  CONTROL_SUBJECT,
  ID_PATTERN,
  type LogEntry,
  type LogRecord,
  outputSubject,
  type Seq,
  stateSubject,
  type TombstoneRecord,
} from "../../core/record.ts"
import { decodeRecord, type EncodedRecord } from "../shared/codec.ts"
import { type Changes, foldInto, noChanges, touchedBy } from "../shared/fold.ts"
import type { BatchEntry, BatchRow } from "./batch.ts"
import type { HotTask } from "./hot.ts"

export type Work =
  | {
      readonly kind: "append"
      readonly taskId: string | null
      readonly expected: Seq
      readonly record: LogRecord
      readonly encoded: EncodedRecord
    }
  | { readonly kind: "output"; readonly taskId: string; readonly record: LogRecord; readonly encoded: EncodedRecord }
  | {
      readonly kind: "entomb"
      readonly taskId: string
      readonly expected: Seq
      readonly record: TombstoneRecord
      readonly encoded: EncodedRecord
    }
  | { readonly kind: "purgeOutput"; readonly taskId: string }
  | { readonly kind: "forget"; readonly taskId: string }
  | { readonly kind: "trimControl"; readonly beforeSeq: Seq }

/** Entries of a subject up to a sequence that go away. */
export interface Purge {
  readonly subject: string
  readonly upTo: Seq
}

/** What is committed, as far as the batch asks for it; an error for a task that cannot be read. */
export interface Committed {
  readonly head: Seq
  readonly control: LogEntry | null
  readonly taskOf: (taskId: string) => HotTask | BerthError
}

export class Plan {
  readonly entries: (BatchEntry & { readonly entry: LogEntry })[] = []
  readonly purges: Purge[] = []
  readonly changes: Changes = noChanges()
  control: LogEntry | null
  head: Seq
  readonly #committed: Committed
  readonly #last = new Map<string, { readonly entry: LogEntry | null; readonly bytes: number }>()
  readonly #stateJson = new Map<string, string | null>()

  constructor(committed: Committed) {
    this.#committed = committed
    this.control = committed.control
    this.head = committed.head
  }

  /** The sequence that answers the job. Throws BerthError when it is refused (P1). */
  decide(work: Work): Seq {
    switch (work.kind) {
      case "append":
        return work.taskId === null ? this.#appendControl(work) : this.#appendState(work, work.taskId)
      case "output":
        // A copy of the bytes: the caller may use its buffer again.
        return this.#write(outputSubject(work.taskId), decodeRecord(work.encoded.bytes), work.encoded).seq
      case "entomb": {
        const upTo = this.head
        this.#expect(work.taskId, work.expected)
        const seq = this.#appendState(work, work.taskId)
        this.#purge(work.taskId, upTo)
        return seq
      }
      case "purgeOutput": {
        const row = this.#rowOf(work.taskId)
        if (row !== null) this.changes.rows.set(work.taskId, { ...row, outputPurged: true })
        this.purges.push({ subject: outputSubject(work.taskId), upTo: this.head })
        return this.head
      }
      case "forget":
        if (this.#lastOf(work.taskId)?.record.kind !== "tombstone") return this.head
        this.changes.rows.set(work.taskId, null)
        this.changes.tombstones.set(work.taskId, null)
        this.#last.set(work.taskId, { entry: null, bytes: 0 })
        this.#purge(work.taskId, this.head)
        return this.head
      case "trimControl":
        // Never the last one: it is the version of the subject (EL13).
        this.purges.push({
          subject: CONTROL_SUBJECT,
          upTo: Math.min(work.beforeSeq, this.control?.seq ?? 0) - 1,
        })
        return this.head
    }
  }

  get isEmpty(): boolean {
    return this.entries.length === 0 && this.changes.rows.size === 0 && this.purges.length === 0
  }

  /** Rows to write, each once. */
  rows(): readonly BatchRow[] {
    const rows: BatchRow[] = []
    for (const [id, after] of this.changes.rows) {
      if (after === null) continue
      rows.push({ before: this.#committedTask(id).row, after, stateJson: this.#stateJson.get(id) ?? null })
    }
    return rows
  }

  removedRows(): readonly string[] {
    return [...this.changes.rows].filter(([, row]) => row === null).map(([id]) => id)
  }

  /** Tombstones that come (when they were made) and go (null). */
  tombstones(): readonly (readonly [string, number | null])[] {
    return [...this.changes.tombstones].filter(
      ([id, atMs]) => atMs !== null || this.#committedTask(id).last?.record.kind === "tombstone",
    )
  }

  /** What is known of the tasks that this plan changed, once it is committed. */
  tasks(): readonly (readonly [string, HotTask])[] {
    const ids = new Set([...this.#last.keys(), ...this.changes.rows.keys()])
    return [...ids].map((id) => {
      const before = this.#committedTask(id)
      const last = this.#last.get(id) ?? { entry: before.last, bytes: before.bytes }
      const row = this.changes.rows.get(id)
      return [id, { last: last.entry, row: row === undefined ? before.row : row, bytes: last.bytes }] as const
    })
  }

  #appendControl({ expected, record, encoded }: Extract<Work, { kind: "append" }>): Seq {
    const actual = this.control?.seq ?? 0
    if (actual !== expected) throw conflict(CONTROL_SUBJECT, actual, expected)
    this.control = this.#write(CONTROL_SUBJECT, record, encoded)
    return this.control.seq
  }

  #appendState({ expected, record, encoded }: Extract<Work, { kind: "append" | "entomb" }>, taskId: string): Seq {
    this.#expect(taskId, expected)
    const entry = this.#write(stateSubject(taskId), record, encoded)
    this.#last.set(taskId, { entry, bytes: encoded.bytes.byteLength })
    this.#stateJson.set(taskId, encoded.stateJson)
    return entry.seq
  }

  #expect(taskId: string, expected: Seq): void {
    const actual = this.#lastOf(taskId)?.seq ?? 0
    if (actual !== expected) throw conflict(stateSubject(taskId), actual, expected)
  }

  #lastOf(taskId: string): LogEntry | null {
    const planned = this.#last.get(taskId)
    return planned === undefined ? this.#committedTask(taskId).last : planned.entry
  }

  #write(subject: string, record: LogRecord, encoded: EncodedRecord): LogEntry {
    const entry: LogEntry = { seq: this.head + 1, subject, record }
    // First what may refuse, then what changes the plan (P1).
    for (const id of touchedBy(entry)) this.#committedTask(id)
    foldInto(this.changes, entry, (id) => this.#committedTask(id).row)
    this.head = entry.seq
    this.entries.push({ seq: entry.seq, subject, body: encoded.bytes, entry })
    return entry
  }

  #purge(taskId: string, upTo: Seq): void {
    this.purges.push({ subject: stateSubject(taskId), upTo }, { subject: outputSubject(taskId), upTo })
  }

  #rowOf(taskId: string): TaskRow | null {
    const staged = this.changes.rows.get(taskId)
    return staged === undefined ? this.#committedTask(taskId).row : staged
  }

  #committedTask(taskId: string): HotTask {
    const task = this.#committed.taskOf(taskId)
    if (task instanceof BerthError) throw task
    return task
  }
}

/** The task that a record of `t.<id>.s` is about must be the one that the subject names. */
export function taskOfSubject(subject: string, record: LogRecord): string | null {
  if (subject === CONTROL_SUBJECT && record.kind === "control") return null
  if (record.kind === "task" && subject === stateSubject(record.state.id)) return checkedId(record.state.id)
  throw berthError("INVALID_PARAMS", `a record of kind "${record.kind}" does not go to ${subject}`, { path: "subject" })
}

/** Ids become text in keys and names: none that is not of `ID_PATTERN` gets in. Throws BerthError INVALID_PARAMS. */
export function checkedId(taskId: string): string {
  if (ID_PATTERN.test(taskId)) return taskId
  throw berthError("INVALID_PARAMS", "a task's id is 1 to 64 letters, digits, _ and -", { path: "id" })
}

const conflict = (subject: string, actual: Seq, expected: Seq): BerthError =>
  berthError("VERSION_CONFLICT", `${subject} is at ${actual}, not at ${expected}`)
