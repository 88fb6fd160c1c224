/**
 * The log in memory: the reference that other adapters are compared with, and what the simulator runs on. It has no timers
 * and no chance of its own; every operation is one step. Records go through the codec, so that what cannot be stored fails here too.
 */
import { Effect } from "effect"
import { asBerthError, berthError, type BerthError } from "../../core/errors.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import {
  ANY_SUBJECT,
  CONTROL_SUBJECT,
  type LogEntry,
  type LogRecord,
  outputSubject,
  type Seq,
  stateSubject,
  type TaskRecord,
  type TombstoneRecord,
} from "../../core/record.ts"
import { decodeRecord, encodeRecord } from "../shared/codec.ts"
import { feedFrom } from "../shared/feed.ts"
import { Tail } from "../shared/tail.ts"
import { writeLevel } from "../shared/writeLevel.ts"

interface Stored {
  readonly seq: Seq
  readonly subject: string
  bytes: Uint8Array
}

/** What is told of changes to a read model that moves together with the log. */
export interface Follower {
  readonly appended: (entries: readonly LogEntry[]) => void
  readonly outputPurged: (taskId: string) => void
  readonly forgotten: (taskId: string) => void
}

export interface MemoryLog {
  readonly log: EventLog["Service"]
  /** Flips a byte of a stored record. */
  readonly damage: (seq: Seq) => void
  /** The most bytes that the log takes; beyond, it refuses with STORAGE_FULL. */
  readonly limitBytes: (bytesMax: number) => void
  readonly close: () => void
}

export const nobody: Follower = { appended: () => {}, outputPurged: () => {}, forgotten: () => {} }

export function makeMemoryLog(follower: Follower = nobody): MemoryLog {
  const subjects = new Subjects()
  const tail = new Tail(0)
  const ours = writeLevel()
  let bytesMax = Number.POSITIVE_INFINITY

  const decode = ({ seq, subject, bytes }: Stored): LogEntry => ({
    seq,
    subject,
    record: decodeRecord(bytes, `record ${seq} of ${subject}`),
  })
  const write = (subject: string, record: LogRecord): LogEntry => {
    const bytes = encodeRecord(record, ours.level())
    if (subjects.bytes + bytes.byteLength > bytesMax) throw berthError("STORAGE_FULL", "the log is full")
    const stored = { seq: tail.head + 1, subject, bytes }
    subjects.add(stored)
    return decode(stored)
  }
  const publish = (entry: LogEntry): Seq => {
    follower.appended([entry])
    tail.push([{ entry, bytes: subjects.lastOf(entry.subject)?.bytes.byteLength ?? 0 }])
    return entry.seq
  }
  const expect = (subject: string, expected: Seq): void => {
    const actual = subjects.lastOf(subject)?.seq ?? 0
    if (actual === expected) return
    throw berthError("VERSION_CONFLICT", `${subject} is at ${actual}, not at ${expected}`)
  }
  const entomb = (taskId: string, expected: Seq, tombstone: TombstoneRecord): Seq => {
    expect(stateSubject(taskId), expected)
    encodeRecord(tombstone, ours.level())
    subjects.remove(stateSubject(taskId))
    subjects.remove(outputSubject(taskId))
    const entry = write(stateSubject(taskId), tombstone)
    follower.appended([entry])
    tail.forgetWindow(entry.seq)
    return entry.seq
  }
  const drop = (subject: string): void => {
    subjects.remove(subject)
    tail.forgetWindow(tail.head)
  }
  const trimControl = (beforeSeq: Seq): void => {
    const last = subjects.lastOf(CONTROL_SUBJECT)?.seq ?? 0
    subjects.remove(CONTROL_SUBJECT, Math.min(beforeSeq, last))
    tail.forgetWindow(tail.head)
  }
  const decodeLast = (subject: string): LogEntry | null => {
    const stored = subjects.lastOf(subject)
    return stored === undefined ? null : decode(stored)
  }
  const page = (subjectNames: readonly string[] | null, afterSeq: Seq, entriesMax: number): readonly LogEntry[] =>
    subjects.after(subjectNames, afterSeq, entriesMax).map(decode)

  const log: EventLog["Service"] = {
    append: (subject, expected, record) =>
      step(() => {
        expect(subject, expected)
        return publish(write(subject, record))
      }),
    appendOutput: (taskId, record) => step(() => publish(write(outputSubject(taskId), record))),
    last: (taskId) => step(() => decodeLast(stateSubject(taskId)) as LogEntry<TaskRecord | TombstoneRecord> | null),
    lastControl: step(() => decodeLast(CONTROL_SUBJECT)),
    after: (subject, afterSeq) => step(() => page(subject === ANY_SUBJECT ? null : [subject], afterSeq, 1)[0] ?? null),
    readTask: (taskId, afterSeq, entriesMax) =>
      step(() => page([stateSubject(taskId), outputSubject(taskId)], afterSeq, entriesMax)),
    feed: (afterSeq) => feedFrom(tail, (seq, entriesMax) => step(() => page(null, seq, entriesMax)), afterSeq),
    head: Effect.sync(() => tail.head),
    purgeOutput: (taskId) =>
      step(() => {
        drop(outputSubject(taskId))
        follower.outputPurged(taskId)
      }),
    entomb: (taskId, expected, tombstone) => step(() => entomb(taskId, expected, tombstone)),
    forget: (taskId) =>
      step(() => {
        if (decodeLast(stateSubject(taskId))?.record.kind !== "tombstone") return
        drop(stateSubject(taskId))
        drop(outputSubject(taskId))
        follower.forgotten(taskId)
      }),
    trimControl: (beforeSeq) => step(() => trimControl(beforeSeq)),
    durability: "memory",
    replicas: 1,
    ...ours,
  }
  return {
    log,
    damage: (seq) => {
      subjects.damage(seq)
      tail.forgetWindow(tail.head)
    },
    limitBytes: (limit) => {
      bytesMax = limit
    },
    close: () => tail.close(),
  }
}

/** One step: nothing else runs between its beginning and its end, and what it throws is a typed error. */
export const step = <A>(body: () => A): Effect.Effect<A, BerthError> => Effect.try({ try: body, catch: asBerthError })

/** Stored records by subject, and all together in log order. */
class Subjects {
  #all: Stored[] = []
  readonly #bySubject = new Map<string, Stored[]>()
  bytes = 0

  add(stored: Stored): void {
    this.#all.push(stored)
    this.bytes += stored.bytes.byteLength
    const own = this.#bySubject.get(stored.subject)
    if (own === undefined) this.#bySubject.set(stored.subject, [stored])
    else own.push(stored)
  }

  /** All of a subject, or what is before a sequence. */
  remove(subject: string, beforeSeq: Seq = Number.POSITIVE_INFINITY): void {
    const own = this.#bySubject.get(subject)
    if (own === undefined) return
    const kept = own.filter(({ seq }) => seq >= beforeSeq)
    if (kept.length === 0) this.#bySubject.delete(subject)
    else this.#bySubject.set(subject, kept)
    for (const { seq, bytes } of own) if (seq < beforeSeq) this.bytes -= bytes.byteLength
    this.#all = this.#all.filter((stored) => stored.subject !== subject || stored.seq >= beforeSeq)
  }

  lastOf(subject: string): Stored | undefined {
    return this.#bySubject.get(subject)?.at(-1)
  }

  /** Of these subjects, or of all (null), in log order. */
  after(names: readonly string[] | null, afterSeq: Seq, entriesMax: number): readonly Stored[] {
    if (names === null) return sliceAfter(this.#all, afterSeq, entriesMax)
    const parts = names.map((name) => sliceAfter(this.#bySubject.get(name) ?? [], afterSeq, entriesMax))
    return parts
      .flat()
      .sort((a, b) => a.seq - b.seq)
      .slice(0, entriesMax)
  }

  damage(seq: Seq): void {
    const stored = this.#all.find((candidate) => candidate.seq === seq)
    if (stored === undefined) throw new Error(`there is no record ${seq}`)
    stored.bytes = Uint8Array.from(stored.bytes)
    const at = stored.bytes.byteLength >> 1
    stored.bytes[at] = (stored.bytes[at] as number) ^ 1
  }
}

/** The entries of a list sorted by sequence that come after one, by bisection. */
function sliceAfter(sorted: readonly Stored[], afterSeq: Seq, entriesMax: number): readonly Stored[] {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] as Stored).seq > afterSeq) high = middle
    else low = middle + 1
  }
  return sorted.slice(low, low + entriesMax)
}
