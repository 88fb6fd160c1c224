/** Who this process is among all processes of all hosts, and whether another one is surely gone. */
import { readFile, readlink } from "node:fs/promises"
import { pid } from "node:process"
import { Effect } from "effect"
import type { ProcessIdentity } from "../../core/workerLease.ts"
import { parseIdentity } from "../executor/process/keeper.ts"
import { isAlive } from "../executor/process/signals.ts"

const orEmpty = (reading: Promise<string>): Promise<string> => reading.catch(() => "")

/** Where /proc is not to be had, nobody is ever known to be gone: the lease alone decides. */
export const thisProcess: Effect.Effect<ProcessIdentity> = Effect.promise(async () => {
  const boot = await orEmpty(readFile("/proc/sys/kernel/random/boot_id", "utf8"))
  const namespace = await orEmpty(readlink("/proc/self/ns/pid"))
  const stat = await orEmpty(readFile("/proc/self/stat", "utf8"))
  return {
    table: boot === "" || namespace === "" ? null : `${boot.trim()} ${namespace}`,
    pid,
    startTicks: parseIdentity(stat)?.startTicks ?? null,
  }
})

/** True only when it is certain: the same table of processes, and the one that began then is not in it any more. */
export const isSurelyGone = (other: ProcessIdentity, self: ProcessIdentity): Effect.Effect<boolean> =>
  other.table === null || other.table !== self.table || other.startTicks === null
    ? Effect.succeed(false)
    : Effect.promise(async () => !(await isAlive(other)))
