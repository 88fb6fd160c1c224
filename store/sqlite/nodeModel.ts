/**
 * The read model of one node of a cluster: opened where it is good, put back from a snapshot where it is missing, of another
 * form or another log, long unused or damaged; and where there is no snapshot either, empty, to be folded from the log. What
 * stands in the way of that is of the data directory, never of the broker: a snapshot that does not come is none.
 */
import { existsSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { Effect, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import { openConnection } from "./connection.ts"
import { clearDamage, isDamaged } from "./damage.ts"
import { LOG, openReadModel } from "./readModel.ts"
import { getMeta, MODEL_VERSION } from "./schema.ts"
import { putBack, removeModel } from "./snapshot.ts"
import { unusable } from "./unusable.ts"

export interface NodeModelOptions {
  readonly path: string
  /** Names the log that it is a fold of. */
  readonly log: string
  /** One that nobody used since then may have missed the end of a task, tombstone and all; it begins anew. */
  readonly unusedSinceMs: number
  /** A snapshot of this form, or null. */
  readonly snapshot: (version: string) => Effect.Effect<
    {
      readonly pieces: number
      readonly piece: (index: number) => Effect.Effect<Uint8Array, BerthError>
    } | null,
    BerthError
  >
  /** Told when the model does not go on from where it was. */
  readonly onAnew: (from: "snapshot" | "log", why: string) => void
}

export const openNodeModel = (
  options: NodeModelOptions,
): Effect.Effect<ReadModel["Service"], BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const { log, path } = options
    const why = yield* whyAnew(options)
    if (why === null) return yield* openReadModel(path, log)
    yield* remove(path)
    clearDamage(path)
    const restored = yield* restore(options).pipe(Effect.catch(() => Effect.succeed(false)))
    options.onAnew(restored ? "snapshot" : "log", why)
    if (!restored) return yield* openReadModel(path, log)
    return yield* Effect.catch(openReadModel(path, log), () => Effect.andThen(remove(path), openReadModel(path, log)))
  }).pipe(Effect.mapError((error) => unusable(dirname(options.path), error)))

const remove = (path: string): Effect.Effect<unknown, BerthError> =>
  Effect.tryPromise({ try: () => removeModel(path), catch: (cause) => unusable(dirname(path), cause) })

const restore = ({ path, snapshot }: NodeModelOptions): Effect.Effect<boolean, BerthError> =>
  Effect.gen(function* () {
    const found = yield* snapshot(MODEL_VERSION)
    if (found === null) return false
    yield* putBack(path, found.pieces, found.piece)
    return true
  })

/** Why what is there cannot be gone on with; null: it can. */
const whyAnew = ({ log, path, unusedSinceMs }: NodeModelOptions): Effect.Effect<string | null, BerthError> =>
  Effect.gen(function* () {
    if (!existsSync(path)) return "there is none"
    if (isDamaged(path)) return "a row was damaged"
    if (usedAtMs(path) < unusedSinceMs) return "it was not used for too long"
    const metas = Effect.acquireUseRelease(
      openConnection(path, "write"),
      (on) => Effect.all([getMeta(on, "model"), getMeta(on, LOG)]),
      (on) => on.close,
    )
    const [model, ofLog] = yield* Effect.catch(metas, () => Effect.succeed([null, null]))
    if (model !== MODEL_VERSION)
      return model === null ? "it cannot be read" : `its form is ${model}, not ${MODEL_VERSION}`
    return ofLog === log ? null : "it belongs to another log"
  })

const usedAtMs = (path: string): number =>
  Math.max(...[path, `${path}-wal`].map((file) => (existsSync(file) ? statSync(file).mtimeMs : 0)))
