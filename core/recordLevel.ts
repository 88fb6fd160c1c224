/**
 * The level of the log's records: which form and meaning their bytes have. A program reads every level up to its own highest and
 * writes the one in force, so that two versions of it run side by side.
 *
 *   RL1. The level in force stands in every record of `control`, so the last one tells it, whatever was trimmed before. It only grows.
 *   RL2. It is raised when everybody can read the next one: at the begin of a term where a node is alone, and by the leader's
 *        level watch in a cluster.
 *   RL3. Whose own highest is below it writes nothing, and does not start.
 */
import { berthError, type BerthError } from "./errors.ts"
import type { LogEntry } from "./record.ts"

export const RECORD_LEVEL_FIRST = 1
/** Raised when the meaning of stored bytes changes; every earlier level stays readable. */
export const RECORD_LEVEL_MAX = 1

/** What is in force after the last record of `control`, or before the first (RL1). */
export const levelAfter = (last: LogEntry | null): number =>
  last?.record.kind === "control" ? (last.record.level ?? RECORD_LEVEL_FIRST) : RECORD_LEVEL_FIRST

/** RL3. */
export const levelTooNew = (level: number): BerthError =>
  berthError("SCHEMA_TOO_NEW", `records are written at level ${level}; this Berth reads up to ${RECORD_LEVEL_MAX}`, {
    hint: "A newer Berth wrote here, or all other nodes are of one: upgrade this one.",
  })

/** A node, and the highest level that it reads. */
export interface Reader {
  readonly level: number
}

/** Who keeps the level in force from becoming what somebody else can read already. */
export const heldBackBy = <R extends Reader>(readers: readonly R[], inForce: number): readonly R[] => {
  const highest = Math.max(inForce, ...readers.map(({ level }) => level))
  return readers.filter(({ level }) => level < highest)
}
