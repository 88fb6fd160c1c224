/** A read model of its own, for a node whose log is elsewhere: the same tables as beside the log, and a checkpoint. */
import { Effect, type Scope, Semaphore } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import type { LogEntry } from "../../core/record.ts"
import { applyEntries } from "./apply.ts"
import { prepareBatch } from "./batch.ts"
import { type Connection, openConnection, transaction } from "./connection.ts"
import { clearDamage, isDamaged, noteDamage } from "./damage.ts"
import { makeQueries } from "./queries.ts"
import { createModel, getMeta, MODEL_VERSION, setMeta, tune } from "./schema.ts"

export const CHECKPOINT = "checkpoint"
/** Names the log that the model is a fold of. */
export const LOG = "log"

/**
 * Opens or makes the model at `path`. One of another version or log, or one that was found damaged, begins again at 0:
 * whoever applies entries goes by the checkpoint.
 */
export const openReadModel = (path: string, log = ""): Effect.Effect<ReadModel["Service"], BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const on = yield* Effect.acquireRelease(openConnection(path, "write"), (connection) => connection.close)
    yield* tune(on)
    // A fold of the log: what a power cut takes is folded again.
    yield* on.run("pragma synchronous = normal")
    yield* on.exec("create table if not exists meta (name text primary key, value text not null) strict")
    yield* prepareBatch(on, false)
    const isOfLog = ((yield* getMeta(on, LOG)) ?? log) === log
    if (isDamaged(path) || !isOfLog || (yield* getMeta(on, "model")) !== MODEL_VERSION) {
      const anew = Effect.all([createModel(on), setMeta(on, CHECKPOINT, "0"), setMeta(on, LOG, log)])
      yield* transaction(on, anew)
      clearDamage(path)
    }
    let checkpoint = Number(yield* getMeta(on, CHECKPOINT))
    const apply = (entries: readonly LogEntry[]): Effect.Effect<void, BerthError> => {
      const fresh = entries.filter((entry) => entry.seq > checkpoint)
      const last = fresh.at(-1)
      if (last === undefined) return Effect.void
      const body = Effect.andThen(applyEntries(on, fresh), setMeta(on, CHECKPOINT, String(last.seq)))
      return Effect.tap(transaction(on, body), () => Effect.sync(() => void (checkpoint = last.seq)))
    }
    const oneAtATime = yield* Semaphore.make(1)
    return {
      ...makeQueries(on, () => noteDamage(path)),
      apply: (entries) => oneAtATime.withPermits(1)(Effect.suspend(() => apply(entries))),
      checkpoint: Effect.sync(() => checkpoint),
    }
  })

/** Beside a log: entries arrive by the log's own commits, so there is nothing to apply. */
export const besideLog = (reader: Connection, path: string, head: Effect.Effect<number>): ReadModel["Service"] => ({
  ...makeQueries(reader, () => noteDamage(path)),
  apply: (entries) =>
    Effect.flatMap(head, (seq) =>
      entries.every((entry) => entry.seq <= seq)
        ? Effect.void
        : Effect.fail(berthError("INTERNAL", "these entries are not from the log of this read model")),
    ),
  checkpoint: head,
})
