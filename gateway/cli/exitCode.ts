import { constants } from "node:os"
import type { TaskOutcome } from "../client/publicTypes.ts"

/** Exit codes that are ours. Any other is the program's own. */
export const EXIT = {
  /** Of `doctor` alone: an attack succeeded; something is below its floor. */
  attacked: 1,
  belowFloor: 2,
  ok: 0,
  timeout: 124,
  ownFailure: 125,
  cancelled: 130,
  outputGone: 141,
} as const

const SIGNAL_BASE = 128
const numberOf = (signal: string): number | undefined => (constants.signals as Readonly<Record<string, number>>)[signal]

/** What a command that ran a program ends with. */
export function exitCodeOf(outcome: Pick<TaskOutcome, "status" | "reason" | "exitCode" | "signal">): number {
  switch (outcome.status) {
    case "completed":
      return outcome.exitCode ?? EXIT.ok
    case "timeout":
      return EXIT.timeout
    case "cancelled":
      return EXIT.cancelled
    case "failed":
      return failedCode(outcome)
  }
}

function failedCode({ reason, exitCode, signal }: Pick<TaskOutcome, "reason" | "exitCode" | "signal">): number {
  const signalNumber = signal === null ? undefined : numberOf(signal)
  if (signalNumber !== undefined) return SIGNAL_BASE + signalNumber
  if (exitCode !== null && exitCode !== 0) return exitCode
  switch (reason) {
    // Also when only a child was killed and the program itself ended well.
    case "out_of_memory":
      return SIGNAL_BASE + constants.signals.SIGKILL
    case "handler_error":
    case "compile_failed":
    case "exit_nonzero":
      return 1
    default:
      return EXIT.ownFailure
  }
}
