/** What a worker writes into its lease: enough for others to know what it holds and whether it can still be there. */
import type { Lease } from "./ports/leases.ts"

/** One process of one machine: a process id means nothing without the table that it stands in, and is used again. */
export interface ProcessIdentity {
  /** Boot and namespace of the process ids; null where nobody can tell. */
  readonly table: string | null
  readonly pid: number
  /** When it began, in the kernel's ticks; null where nobody can tell. */
  readonly startTicks: number | null
}

export interface WorkerLeaseData {
  /** As this worker counts it: whoever watches waits for as long, whatever its own setting. */
  readonly leaseMs: number
  readonly process: ProcessIdentity
  /** Engines whose containers this worker can adopt and remove. */
  readonly engines: readonly string[]
  /** (task, epoch) of everything in its hands, what is being started included. */
  readonly held: readonly (readonly [taskId: string, epoch: number])[]
  /** Workers that are gone and whose tasks this one is settling: nobody else need. */
  readonly adopting: readonly string[]
  /** It went by itself and left its containers to a successor. */
  readonly detached: boolean
}

const PREFIX = "w."
export const WORKER_LEASES = PREFIX
export const workerLeaseName = (worker: string): string => `${PREFIX}${worker}`
export const workerOfLease = ({ name }: Pick<Lease, "name">): string => name.slice(PREFIX.length)

/** What a lease says; it is written by our own workers only. */
export const workerLeaseData = ({ data }: Pick<Lease, "data">): WorkerLeaseData => data as WorkerLeaseData
