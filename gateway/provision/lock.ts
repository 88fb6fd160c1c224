import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

const POLL_MS = 200

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** The process that the file names; null when it is gone, or not filled yet by its owner. */
const holderOf = (path: string): number | null => {
  try {
    const pid = Number(readFileSync(path, "utf8").trim())
    return Number.isInteger(pid) && pid > 0 ? pid : null
  } catch {
    return null
  }
}

/** Takes a dead process's file away. Two may try at once: who finds a live owner's file in hand puts it back. */
const breakLock = (path: string): void => {
  const aside = `${path}.${process.pid}`
  try {
    renameSync(path, aside)
    const holder = holderOf(aside)
    if (holder !== null && isAlive(holder)) linkSync(aside, path)
  } catch {
    // Somebody else was faster; the next round looks again.
  }
  rmSync(aside, { force: true })
}

/** Creates the file if nobody has; false when another live process holds it. What a dead one left is taken away. */
const tryTake = (path: string): boolean => {
  try {
    writeFileSync(path, `${process.pid}\n`, { flag: "wx" })
    return true
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
  }
  const holder = holderOf(path)
  if (holder !== null && !isAlive(holder)) breakLock(path)
  return false
}

/**
 * Runs `work` while no other process runs under the same lock file, after at most `waitMsMax`.
 * @throws when the wait was in vain; the message names the file
 */
export const underLock = async <A>(
  path: string,
  waitMsMax: number,
  onWait: () => void,
  work: () => Promise<A>,
): Promise<A> => {
  mkdirSync(dirname(path), { recursive: true })
  let waitedMs = 0
  while (!tryTake(path)) {
    if (waitedMs === 0) onWait()
    if (waitedMs >= waitMsMax) throw new Error(`another process has held ${path} for too long`)
    await sleep(POLL_MS)
    waitedMs += POLL_MS
  }
  try {
    return await work()
  } finally {
    rmSync(path, { force: true })
  }
}
