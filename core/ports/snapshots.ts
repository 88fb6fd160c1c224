import type { Effect } from "effect"
import type { BerthError } from "../errors.ts"
import type { Seq } from "../record.ts"

/**
 * A copy of a read model, in pieces, for nodes that have none yet. It is a fold of the log like the original: of another
 * version, damaged or absent, it only costs the time to fold anew.
 */
export interface SnapshotSource {
  /** Names the form of the read model; only a program of the same form can use the copy. */
  readonly version: string
  /** Hands the copy over piece by piece; answers with the checkpoint that it has. */
  readonly take: (
    onPiece: (index: number, bytes: Uint8Array) => Effect.Effect<void, BerthError>,
  ) => Effect.Effect<{ readonly seq: Seq; readonly pieces: number }, BerthError>
}

/** What is written last, and names the pieces. */
export interface SnapshotManifest {
  readonly seq: Seq
  readonly pieces: number
  /** The folder of the pieces, below that of the version. */
  readonly name: string
}

/** Manifest and pieces of one form, and nothing else. */
export const folderOf = (version: string): string => `snapshots/${version}`
export const manifestKey = (version: string): string => `${folderOf(version)}/manifest`
export const pieceFolder = (version: string, name: string): string => `${folderOf(version)}/${name}`
export const pieceKey = (version: string, name: string, index: number): string =>
  `${pieceFolder(version, name)}/${index}`
