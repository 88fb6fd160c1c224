import type { EndReason, Status } from "../words.ts"

/** Totals of one output stream. `headBytes` and `tailBytes` are kept; the rest was only sent live. */
export interface StreamTotals {
  readonly totalBytes: number
  readonly headBytes: number
  readonly tailBytes: number
  readonly droppedBytes: number
}

/** One file that the program left in /box/out, kept as a blob. */
export interface Artifact {
  readonly path: string
  readonly sizeBytes: number
  readonly sha256: string
  readonly blobKey: string
}

/** What the engine says that it enforces, read back after create. */
export type EffectivePolicy = Readonly<Record<string, string | number | boolean | readonly string[]>>

/** How one attempt ended: verdict, time and memory together. */
export interface AttemptResult {
  readonly status: Exclude<Status, "pending" | "running">
  readonly reason: EndReason
  /** For people; at most `LIMITS.messageBytesMax`, without anything that the user sent as a secret. */
  readonly message: string | null
  readonly exitCode: number | null
  /** Signal name such as `SIGKILL`, when the program was ended by one. */
  readonly signal: string | null
  readonly attempt: number
  readonly epoch: number
  readonly startedAtMs: number | null
  readonly endedAtMs: number
  /** Begin to end of the program itself; null if it never began. */
  readonly wallMs: number | null
  readonly cpuMs: number | null
  readonly memoryPeakBytes: number | null
  readonly stdout: StreamTotals
  readonly stderr: StreamTotals
  readonly artifacts: readonly Artifact[]
  /** Why there are no artifacts although they were asked for; null when nothing is missing. */
  readonly artifactsMissing: string | null
  /** What a handler returned; null otherwise. */
  readonly value: unknown
  readonly imageDigest: string | null
  readonly policy: EffectivePolicy | null
  /** True when a lost worker on another engine may still have been running this task. */
  readonly overlapPossible: boolean
}

export const NO_OUTPUT: StreamTotals = { totalBytes: 0, headBytes: 0, tailBytes: 0, droppedBytes: 0 }

/** Short form of an earlier attempt, kept in the state. */
export interface AttemptSummary {
  readonly attempt: number
  readonly epoch: number
  readonly status: Status
  readonly reason: EndReason
  readonly exitCode: number | null
  readonly startedAtMs: number | null
  readonly endedAtMs: number
}
