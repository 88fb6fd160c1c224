import type { Exit, StopMode } from "../../../core/ports/executor.ts"
import type { EndReason } from "../../../core/words.ts"
import type { KeeperReport } from "./keeper.ts"
import { signalName } from "./signals.ts"

const STOPPED = {
  kill: { status: "cancelled", reason: "killed" },
  cancel: { status: "cancelled", reason: "cancelled" },
  deadline: { status: "timeout", reason: "deadline" },
} as const satisfies Record<StopMode, { status: Exit["status"]; reason: EndReason }>

/**
 * How a program ended. What was asked for decides first, then the time limit, then compilation, then the status.
 *
 * @param report - null when the keeper was killed together with the program
 * @param overdue - true when the keeper enforced the time limit
 */
export const exitOf = (
  report: KeeperReport | null,
  stop: StopMode | null,
  overdue: boolean,
  wallMs: number | null,
): Exit => {
  const signalled = report === null || (report.signalled && report.status > 128)
  return {
    ...verdictOf(report, stop ?? (overdue ? "deadline" : null), signalled),
    exitCode: report === null || signalled ? null : report.status,
    signal: signalled ? (report === null ? "SIGKILL" : signalName(report.status - 128)) : null,
    wallMs,
    cpuMs: report?.cpuMs ?? null,
    memoryPeakBytes: null,
    value: null,
  }
}

const verdictOf = (
  report: KeeperReport | null,
  stop: StopMode | null,
  signalled: boolean,
): Pick<Exit, "status" | "reason" | "message"> => {
  if (stop !== null) return { ...STOPPED[stop], message: null }
  if (report?.stage === "compile") {
    return { status: "failed", reason: "compile_failed", message: "it did not compile; stderr says why" }
  }
  if (signalled) return { status: "failed", reason: "signal", message: null }
  if (report?.status === 0) return { status: "completed", reason: "exit_zero", message: null }
  const message = report?.status === 127 ? "the command was not found on this host" : null
  return { status: "failed", reason: "exit_nonzero", message }
}
