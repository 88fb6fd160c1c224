/** How a task is told to people. */
import type { Task, TaskOutcome } from "../client/publicTypes.ts"
import { escapeControls } from "./escape.ts"
import { showBytes, showMs } from "./quantities.ts"

/** What a task is doing, in words. */
export function phaseWords(task: Task, nowMs: number): string {
  if (task.waitingFor === "backend_unavailable")
    return `${task.status === "running" ? task.phase : "queued"}, waiting for an engine that does not answer`
  if (task.waitingFor === "worker") return `queued, no worker of pool ${task.pool} takes it`
  switch (task.phase) {
    case "delayed":
      return task.wakeAtMs === null ? "delayed" : `starts in ${showMs(Math.max(0, task.wakeAtMs - nowMs))}`
    case "limited":
      return `queued, waiting for a slot of owner ${task.owner}`
    case "queued":
      return `queued in lane ${task.lane}`
    case "starting":
      return "starting"
    case "running":
      return "running"
    case "stopping":
      return "stopping"
    case "collecting":
      return "collecting what it left"
    case "fenced":
      return "paused, its worker waits for its lease"
    case "retrying":
      return `attempt ${task.attempt} of ${task.maxAttempts} in ${showMs(Math.max(0, (task.wakeAtMs ?? nowMs) - nowMs))}`
    case "ended":
      return task.status
  }
}

/** One line at the end: state, why where a program's exit does not say it, exit code, times, memory, id. */
export function closingLine(outcome: TaskOutcome): string {
  const parts = [
    outcome.status + (outcome.ok || outcome.reason === null ? "" : ` (${outcome.reason})`),
    outcome.message === null ? null : escapeControls(outcome.message),
    outcome.exitCode === null ? null : `exit ${outcome.exitCode}`,
    outcome.signal,
    outcome.wallMs === null ? null : `wall ${showMs(outcome.wallMs)}`,
    outcome.cpuMs === null ? null : `cpu ${showMs(outcome.cpuMs)}`,
    outcome.memoryPeakBytes === null ? null : `peak ${showBytes(outcome.memoryPeakBytes)}`,
    outcome.task.maxAttempts > 1 ? `attempt ${outcome.attempt} of ${outcome.task.maxAttempts}` : null,
    outcome.id,
  ]
  return parts.filter((part) => part !== null).join(" · ")
}
