/**
 * Leaves a copy of the leader's read model among the blobs now and then, so that a new node need not fold the whole log.
 *
 *   SN1. The manifest is written after its pieces and names them; pieces that it does not name are removed after that, also
 *        those of a leader that was gone before it could finish. Who reads pieces that are just being removed misses one, and
 *        folds the log instead.
 *   SN2. A snapshot that fails is tried again later, and never ends the term.
 */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import {
  folderOf,
  manifestKey,
  pieceFolder,
  pieceKey,
  type SnapshotManifest,
  type SnapshotSource,
} from "../../core/ports/snapshots.ts"
import type { NodeOptions, NodePorts } from "../roles/parts.ts"

const LOOK_MS = 5_000

export const makeSnapshots = (
  { config, logger, snapshots }: Pick<NodeOptions, "config" | "logger" | "snapshots">,
  { blobs, clock, random, readModel }: Pick<NodePorts, "blobs" | "clock" | "random" | "readModel">,
): Effect.Effect<never, BerthError> => {
  if (snapshots === undefined) return Effect.never

  const removeOthers = ({ name }: SnapshotManifest): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const folder = `${folderOf(snapshots.version)}/`
      const keys = yield* blobs.list(folder)
      const names = new Set(keys.map((key) => key.slice(folder.length).split("/", 1)[0] ?? ""))
      const others = [...names].filter(
        (other) => other !== name && `${folder}${other}` !== manifestKey(snapshots.version),
      )
      for (const other of others) yield* blobs.removePrefix(`${pieceFolder(snapshots.version, other)}/`)
    })

  const pass = Effect.gen(function* () {
    const manifest = yield* readManifest(blobs, snapshots.version)
    if ((yield* readModel.checkpoint) - (manifest?.seq ?? 0) < config.snapshotEntries) return
    const name = random.id()
    const { pieces, seq } = yield* snapshots
      .take((index, bytes) => blobs.put(pieceKey(snapshots.version, name, index), bytes))
      .pipe(Effect.tapError(() => Effect.ignore(blobs.removePrefix(`${pieceFolder(snapshots.version, name)}/`))))
    const written: SnapshotManifest = { seq, pieces, name }
    yield* blobs.put(manifestKey(snapshots.version), new TextEncoder().encode(JSON.stringify(written)))
    yield* removeOthers(written)
    logger.info({ seq, pieces }, "a snapshot of the read model was left")
  }).pipe(
    Effect.catch((error) =>
      Effect.sync(() => logger.warn({ code: error.code, error: error.message }, "no snapshot could be left")),
    ),
  )
  return Effect.forever(Effect.andThen(clock.sleep(LOOK_MS), pass))
}

/** Null: there is none that this program can read. */
export const readManifest = (
  blobs: NodePorts["blobs"],
  version: SnapshotSource["version"],
): Effect.Effect<SnapshotManifest | null, BerthError> =>
  Effect.map(blobs.get(manifestKey(version)), (bytes) =>
    bytes === null ? null : (JSON.parse(new TextDecoder().decode(bytes)) as SnapshotManifest),
  )
