import { Context, type Effect, type Stream } from "effect"
import type { BerthError } from "../errors.ts"
import type { LogEntry, LogRecord, OutputRecord, Seq, TaskRecord, TombstoneRecord } from "../record.ts"

/** What a returned append means. `unknown`: the store syncs or does not, and does not say which. */
export type Durability = "fsynced" | "page-cache" | "memory" | "unknown"

/**
 * The log: state, execution ledger, lock and fence at once. Guarantees, each a test in test/contract/eventLog.contract.ts:
 *
 *   EL1. `append` is atomic, and durable before it returns.
 *   EL2. `append` fails with VERSION_CONFLICT unless `expected` is the sequence of the subject's last record (0: none);
 *        of any number of writers at one version exactly one wins.
 *   EL3. Sequences grow over the whole log; an entry's sequence never changes.
 *   EL4. `last` sees every append that returned before it began, by whomever, and all that a read has shown before.
 *   EL5. `after` gives the first record of a subject, or of any (`ANY_SUBJECT`), after a sequence: whose append won?
 *   EL6. `appendOutput` needs no version, keeps the order of one caller's calls per task, and returns when durable.
 *   EL7. `readTask` gives the entries of one task (state and output) after a sequence, in log order, each once.
 *   EL8. `feed` gives every entry after a sequence, in log order, each once, and goes on with new ones.
 *   EL9. `purgeOutput` removes a task's output records, `entomb` replaces all its records by a tombstone, `forget` removes that,
 *        and nothing else; the version of `t.<id>.s` stays taken until `forget`.
 *   EL10. A record that was damaged in the store is reported as STORE_CORRUPT, never returned.
 *   EL11. What was appended is read back equal: numbers, text, bytes, null.
 *   EL12. A full store refuses with STORAGE_FULL, keeps what it has, and takes appends again once there is room.
 *   EL13. `trimControl` removes the records of `control` before a sequence, never its last one: its version stays taken.
 *   EL14. Records are written at `level`: the first one until it is raised here, never lower again. Beyond what this program reads
 *        (`RECORD_LEVEL_MAX`) nothing is written at all: SCHEMA_TOO_NEW.
 *
 * Not guaranteed: order between appends that overlap in time.
 */
export class EventLog extends Context.Service<
  EventLog,
  {
    readonly append: <R extends Exclude<LogRecord, OutputRecord | TombstoneRecord>>(
      subject: string,
      expected: Seq,
      record: R,
    ) => Effect.Effect<Seq, BerthError>
    readonly appendOutput: (taskId: string, record: OutputRecord) => Effect.Effect<Seq, BerthError>
    /** The last state record of a task, or its tombstone; null when there is none. */
    readonly last: (taskId: string) => Effect.Effect<LogEntry<TaskRecord | TombstoneRecord> | null, BerthError>
    readonly lastControl: Effect.Effect<LogEntry | null, BerthError>
    /** The first record on `subject`, or on any with `ANY_SUBJECT`, with a sequence above `afterSeq`. */
    readonly after: (subject: string, afterSeq: Seq) => Effect.Effect<LogEntry | null, BerthError>
    readonly readTask: (
      taskId: string,
      afterSeq: Seq,
      entriesMax: number,
    ) => Effect.Effect<readonly LogEntry[], BerthError>
    /** Batches of 1 to 1,000 entries. */
    readonly feed: (afterSeq: Seq) => Stream.Stream<readonly LogEntry[], BerthError>
    /** Sequence of the newest entry; 0 when empty. */
    readonly head: Effect.Effect<Seq, BerthError>
    readonly purgeOutput: (taskId: string) => Effect.Effect<void, BerthError>
    readonly entomb: (taskId: string, expected: Seq, tombstone: TombstoneRecord) => Effect.Effect<Seq, BerthError>
    readonly forget: (taskId: string) => Effect.Effect<void, BerthError>
    readonly trimControl: (beforeSeq: Seq) => Effect.Effect<void, BerthError>
    readonly durability: Durability
    /** Copies of each entry that servers keep, which then have to agree; 1 where there is one store. */
    readonly replicas: number
    /** The level of records that is in force as far as this process knows (core/recordLevel.ts). */
    readonly level: () => number
    readonly raise: (level: number) => void
  }
>()("core/ports/EventLog") {}
