import { readFile } from "node:fs/promises"
import { constants } from "node:os"
import type { KeeperIdentity } from "./keeper.ts"
import { parseIdentity, parseProcessState } from "./keeper.ts"

const NAMES = new Map<number, string>(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** `SIGTERM` for 15; where two names share a number, the system's last one. */
export const signalName = (number: number): string => NAMES.get(number) ?? `SIG${number}`

/** Sends to all processes of a group. False when there are none, and for 0 and 1, which would mean ourselves and everybody. */
export const signalGroup = (pid: number, signal: NodeJS.Signals): boolean => {
  // kill(2) takes -1 for every process that there is, and 0 for our own group.
  if (!Number.isInteger(pid) || pid <= 1) return false
  if (!Number.isSafeInteger(pid) || pid < 2) return false
  try {
    process.kill(-pid, signal)
    return true
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && (cause.code === "ESRCH" || cause.code === "EPERM")) return false
    throw cause
  }
}

/** Is this very process still there, and not only waiting to be reaped? */
export const isAlive = async (keeper: KeeperIdentity): Promise<boolean> => {
  if (keeper.startTicks === null) return answersSignal(keeper.pid)
  const stat = await readFile(`/proc/${keeper.pid}/stat`, "utf8").catch(() => "")
  return parseIdentity(stat)?.startTicks === keeper.startTicks && parseProcessState(stat) !== "Z"
}

const answersSignal = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
