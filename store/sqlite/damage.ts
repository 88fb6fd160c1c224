/**
 * That a row did not match its checksum, remembered for the next start, which folds the read model anew. In a file of its
 * own: the start decides by it before it trusts the database, which may be what is damaged.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs"

const marker = (path: string): string => `${path}.rebuild`

export const isDamaged = (path: string): boolean => existsSync(marker(path))
export const clearDamage = (path: string): void => rmSync(marker(path), { force: true })

/** Best effort: on a disk that takes no file the next reader will meet the damage again. */
export function noteDamage(path: string): void {
  try {
    writeFileSync(marker(path), "", { mode: 0o600 })
  } catch {
    // The reader gets STORE_CORRUPT either way.
  }
}
