import { isAtRest, type EndReason } from "../../core/words.ts"
import type { Task } from "../protocol/task.ts"

type Artifact = NonNullable<Task["result"]>["artifacts"][number]

/** How a task ended: verdict, time and memory together. A program that failed is an outcome, not an error. */
export interface TaskOutcome {
  readonly id: string
  readonly status: "completed" | "failed" | "timeout" | "cancelled"
  /** True exactly for `completed`. */
  readonly ok: boolean
  /** Null when the task ended without an attempt and gave no reason. */
  readonly reason: EndReason | null
  /** For people. */
  readonly message: string | null
  readonly exitCode: number | null
  /** Name of the signal that ended the program, such as `SIGKILL`. */
  readonly signal: string | null
  /** What a handler returned; null otherwise. */
  readonly value: unknown
  readonly wallMs: number | null
  readonly cpuMs: number | null
  readonly memoryPeakBytes: number | null
  readonly attempt: number
  readonly artifacts: readonly Artifact[]
  /** Everything else that is known of it. */
  readonly task: Task
}

/** The outcome of a task at rest, or null while it is not. */
export function outcomeOf(task: Task): TaskOutcome | null {
  const { status, result } = task
  if (!isAtRest(status) || status === "pending" || status === "running") return null
  return {
    id: task.id,
    status,
    ok: status === "completed",
    reason: result?.reason ?? null,
    message: result?.message ?? null,
    exitCode: result?.exitCode ?? null,
    signal: result?.signal ?? null,
    value: result?.value ?? null,
    wallMs: result?.wallMs ?? null,
    cpuMs: result?.cpuMs ?? null,
    memoryPeakBytes: result?.memoryPeakBytes ?? null,
    attempt: task.attempt,
    artifacts: result?.artifacts ?? [],
    task,
  }
}
