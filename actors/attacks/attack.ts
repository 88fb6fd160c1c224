import type { SubmitRequest } from "../../core/task/request.ts"
import type { AttemptResult } from "../../core/task/result.ts"

/**
 * Programs that try to get out of their container, or to take more than they were given. `berth doctor` runs them on the
 * engine that it examines; the hostile suite runs them through the whole product. Each harms nothing but its own container, also
 * where it succeeds: a call that would change the machine is made with arguments that it refuses.
 */
export interface Attack {
  readonly name: string
  readonly request: SubmitRequest
  /** One or more things that were tried, each contained or not. */
  readonly judge: (seen: Seen) => readonly Finding[]
}

/** What came of running an attack. */
export interface Seen
  extends Pick<AttemptResult, "status" | "reason" | "exitCode" | "signal" | "wallMs" | "cpuMs" | "memoryPeakBytes"> {
  readonly stdout: string
}

export interface Finding {
  readonly name: string
  /** Null: contained. Otherwise what got through. */
  readonly broke: string | null
}

/** How it ended, for people. */
export const endOf = ({ exitCode, reason, signal, status }: Seen): string =>
  `${status}, ${reason}${exitCode === null ? "" : `, exit code ${exitCode}`}${signal === null ? "" : `, ${signal}`}`

/** One finding by one condition. */
export const finding = (name: string, isContained: boolean, otherwise: string): Finding => ({
  name,
  broke: isContained ? null : otherwise,
})
