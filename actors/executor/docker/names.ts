import { createHmac } from "node:crypto"
import type { Job } from "../../../core/ports/executor.ts"

/** Labels of every container of ours. They only find candidates; the log binds a container to a task. */
export const LABEL = {
  cluster: "berth.cluster",
  worker: "berth.worker",
  pool: "berth.pool",
  profile: "berth.profile",
  /** Block of user ids, see uids.ts. */
  uids: "berth.uids",
} as const

/** The name makes create idempotent: one container per task and epoch. */
export const containerName = (job: Pick<Job, "taskId" | "epoch">): string => `berth-${job.taskId}-${job.epoch}`

const NAME = /^\/?berth-([A-Za-z0-9_-]{1,64})-\d{1,16}$/

/** The task of which a name says that the container is; null for any other name. */
export const taskOfName = (name: string): string | null => NAME.exec(name)?.[1] ?? null

/**
 * The secret word of a container's markers. It follows from the container's id, so that whoever adopts the container knows
 * it too, and is known to nobody without the cluster's key.
 */
export const nonceOf = (key: string, containerId: string): string =>
  createHmac("sha256", key).update(`berth marker ${containerId}`).digest("hex").slice(0, 32)
