/** What a node of a cluster, of whatever role, writes into its lease: that it is there, and what it can read. */
import type { Lease } from "./ports/leases.ts"
import type { Reader } from "./recordLevel.ts"
import type { Role } from "./words.ts"

export interface NodeLeaseData extends Reader {
  readonly version: string
  readonly roles: readonly Role[]
  readonly host: string
  /** As this node counts it: who has not seen it renewed for so long counts it no longer. */
  readonly leaseMs: number
}

/** A node, as system.info shows it. */
export interface NodeLevel extends Omit<NodeLeaseData, "leaseMs"> {
  readonly node: string
}

/** Worker's leases to a node's: only an upgrade waits for it, so it need not be short, and costs little. */
const WORKER_LEASES = 3

/** @param leaseMs - of a worker, as the configuration has it */
export const nodeLeaseMs = (leaseMs: number): number => WORKER_LEASES * leaseMs

const PREFIX = "n."
export const NODE_LEASES = PREFIX
export const nodeLeaseName = (node: string): string => `${PREFIX}${node}`

/** What a lease says; it is written by our own nodes only. */
export const nodeLeaseData = ({ data }: Pick<Lease, "data">): NodeLeaseData => data as NodeLeaseData

export const nodeLevelOf = (lease: Lease): NodeLevel => {
  const { host, level, roles, version } = nodeLeaseData(lease)
  return { node: lease.name.slice(PREFIX.length), version, roles, host, level }
}
