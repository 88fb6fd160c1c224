import type { Disposition } from "../words.ts"

/** What to do about a failed child. Pure: the supervisor obeys, it does not decide. */
export type Directive =
  | { readonly type: "restart"; readonly delayMs: number }
  | { readonly type: "stop" }
  | { readonly type: "escalate"; readonly reason: "restart_intensity" }

export interface RestartIntensity {
  /** Restarts allowed within `windowMs`; one more escalates. */
  readonly restartsMax: number
  readonly windowMs: number
  /** Before each restart. */
  readonly delayMs: number
  /** Before each restart while something outside is away. */
  readonly outageDelayMs: number
}

export const RESTART_INTENSITY: RestartIntensity = {
  restartsMax: 10,
  windowMs: 60_000,
  delayMs: 200,
  outageDelayMs: 500,
}

/**
 * One for one: a failure is the child's alone until it fails too often, and then it is the parent's. An outage of something
 * outside, such as a store that is full, is nobody's failure: the child starts again for as long as it lasts.
 *
 * @param failuresMonoMs - times of earlier failures, oldest first
 * @returns the directive, and the failures still inside the window
 */
export function supervise(
  limits: RestartIntensity,
  failuresMonoMs: readonly number[],
  failure: { readonly monoMs: number; readonly disposition: Disposition; readonly isOutage: boolean },
): readonly [Directive, readonly number[]] {
  if (failure.isOutage && failure.disposition === "retryable")
    return [{ type: "restart", delayMs: limits.outageDelayMs }, failuresMonoMs]
  const recent = [...failuresMonoMs, failure.monoMs].filter((atMs) => atMs > failure.monoMs - limits.windowMs)
  if (failure.disposition === "terminal") return [{ type: "stop" }, recent]
  if (recent.length > limits.restartsMax) return [{ type: "escalate", reason: "restart_intensity" }, recent]
  return [{ type: "restart", delayMs: limits.delayMs }, recent]
}
