import { readFile } from "node:fs/promises"
import { constants } from "node:os"
import type { KeeperIdentity } from "./keeper.ts"
import { parseIdentity, parseProcessState } from "./keeper.ts"

const NAMES = new Map<number, string>(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** `SIGTERM` for 15; where two names share a number, the system's last one. */
export const signalName = (number: number): string => NAMES.get(number) ?? `SIG${number}`

/** Sends to all processes of a group. False when there are none. */
export const signalGroup = (pid: number, signal: NodeJS.Signals): boolean => {
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
