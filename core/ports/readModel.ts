import { Context, type Effect } from "effect"
import type { BerthError } from "../errors.ts"
import type { LogEntry, Seq } from "../record.ts"
import type { Counts, ListPage, ListQuery, TaskRow } from "../readmodel/row.ts"

/**
 * What can be asked across tasks. It is a fold of the log and may be thrown away. Guarantees, each a test in
 * test/contract/readModel.contract.ts:
 *
 *   RM1. `apply` writes a batch and the checkpoint in one transaction, and ignores entries at or below the checkpoint.
 *   RM2. After the same entries every adapter answers every query alike, whatever the batches were.
 *   RM3. `list` pages by cursor without repeat or omission among rows that do not change meanwhile; newest first. A page has
 *        at least one row, and no more of them than its bytes allow.
 *   RM4. `due` gives the rows whose due time has come, the earliest first.
 *   RM5. `scan` gives all rows of a status in id order from an id on: what a new leader folds from.
 *   RM6. A record of an unknown version is refused; nothing of its batch is applied.
 *   RM7. A row whose stored form is damaged is never returned: it is taken from the log, or reported as STORE_CORRUPT.
 */
export class ReadModel extends Context.Service<
  ReadModel,
  {
    readonly apply: (entries: readonly LogEntry[]) => Effect.Effect<void, BerthError>
    readonly checkpoint: Effect.Effect<Seq, BerthError>
    readonly get: (taskId: string) => Effect.Effect<TaskRow | null, BerthError>
    readonly list: (query: ListQuery) => Effect.Effect<ListPage, BerthError>
    readonly due: (nowMs: number, rowsMax: number) => Effect.Effect<readonly TaskRow[], BerthError>
    /** The earliest due time of all rows, or null. */
    readonly nextDueAtMs: Effect.Effect<number | null, BerthError>
    readonly scan: (
      status: "pending" | "running" | "ended",
      afterId: string,
      rowsMax: number,
    ) => Effect.Effect<readonly TaskRow[], BerthError>
    readonly counts: (owner: string | null) => Effect.Effect<Counts, BerthError>
    /** Rows at rest since before `beforeMs`, the oldest first; `withOutput`: only those whose output was not purged. */
    readonly endedBefore: (
      beforeMs: number,
      rowsMax: number,
      which: "all" | "withOutput",
    ) => Effect.Effect<readonly TaskRow[], BerthError>
    /** Tombstones older than `beforeMs`, the oldest first. */
    readonly tombstonesBefore: (beforeMs: number, idsMax: number) => Effect.Effect<readonly string[], BerthError>
  }
>()("core/ports/ReadModel") {}
