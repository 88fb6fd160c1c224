import { homedir } from "node:os"
import { join } from "node:path"

/**
 * Where provisioning keeps what it made: the engine's log and pid, unpacked servers, the lock.
 * `BERTH_STATE_DIR`, else /var/lib/berth as root, else a folder of the user's cache.
 */
export const stateDir = (): string => {
  const chosen = process.env["BERTH_STATE_DIR"]
  if (chosen !== undefined && chosen !== "") return chosen
  if (process.getuid?.() === 0) return "/var/lib/berth"
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "berth")
}
