/** The vocabulary of Berth. One name for one thing: code, protocol, CLI and docs use these words and no others. */

export const STATUSES = ["pending", "running", "completed", "failed", "timeout", "cancelled"] as const
export type Status = (typeof STATUSES)[number]

export const PHASES = [
  "delayed",
  "limited",
  "queued",
  "starting",
  "running",
  "stopping",
  "collecting",
  "fenced",
  "retrying",
  "ended",
] as const
export type Phase = (typeof PHASES)[number]

/** Why a task that is not at rest does not go on. `backend_unavailable`: the container engine does not answer. */
export const WAITING_FOR = ["time", "owner_limit", "slot", "worker", "backend_unavailable"] as const
export type WaitingFor = (typeof WAITING_FOR)[number]

/** Priority levels, the first goes first. */
export const LANES = ["urgent", "high", "normal", "low"] as const
export type Lane = (typeof LANES)[number]

export const laneRank = (lane: Lane): number => LANES.indexOf(lane)

/** Of an error: may the same call succeed later, unchanged? */
export type Disposition = "retryable" | "terminal"

/** Why an attempt, or a task that never started, ended as it did. */
export const END_REASONS = [
  "exit_zero",
  "exit_nonzero",
  "signal",
  "out_of_memory",
  "deadline",
  "cancelled",
  "killed",
  "compile_failed",
  "handler_error",
  "handler_returned",
  "refused",
  "expired",
  "worker_lost",
  "quarantined",
] as const
export type EndReason = (typeof END_REASONS)[number]

/**
 * What stands between a program and the host's kernel: that kernel's own namespaces and filters (`runc`), a kernel in user space
 * (`runsc`, gVisor), or a virtual machine (`kata`). Stronger to the right.
 */
export const ISOLATIONS = ["runc", "runsc", "kata"] as const
export type Isolation = (typeof ISOLATIONS)[number]

/** What a node may do. One process does all of it, or several share it. */
export const ROLES = ["gateway", "leader", "worker"] as const
export type Role = (typeof ROLES)[number]

export const OUTPUT_STREAMS = ["stdout", "stderr"] as const
export type OutputStream = (typeof OUTPUT_STREAMS)[number]

/** A task at rest changes only by a manual retry, a purge, or never. */
export const isAtRest = (status: Status): boolean => status !== "pending" && status !== "running"
/** At rest and not what the owner wanted: stays a dead letter until somebody retries or purges it. */
export const isDeadLetter = (status: Status): boolean => status === "failed" || status === "timeout"
