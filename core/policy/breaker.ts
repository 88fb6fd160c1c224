/**
 * When a backend is left alone, and when it is tried again. Pure: the shell in actors/executor/stack/breaker.ts obeys.
 *
 *            failures in a row, or too large a share of a window
 *   closed ────────────────────────────────────────────────────▶ open ◀──┐
 *     ▲                                                            │      │ the probe fails, or hangs
 *     └── enough probes succeed ── half-open ◀── its time is up ───┘      │
 *                                      └──────────────────────────────────┘
 *
 *   B1. Open: nothing passes until its time is up. The time doubles with every opening in a row, up to a limit.
 *   B2. Half-open: one call at a time passes, as a probe; several must succeed before the breaker closes.
 *   B3. A pass belongs to a generation, and every change of state begins a new one: results of an old one count for nothing.
 *   B4. A probe always ends: by its result, by being ignored (interrupted), or by having taken longer than `probeMsMax`.
 */

export interface BreakerLimits {
  /** Failures in a row that open it. Default 5. */
  readonly consecutiveFailuresMax: number
  /** Length of the window that the share of failures is taken of. Default 10_000. */
  readonly windowMs: number
  /** Fewer calls than this in the window say nothing about a share. Default 20. */
  readonly windowCallsMin: number
  /** Share of failures in the window, in (0, 1], that opens it. Default 0.5. */
  readonly failureRatioMax: number
  /** How long the first opening lasts, before jitter. Default 1_000. */
  readonly openMsInitial: number
  /** Upper bound of any opening. Default 30_000. */
  readonly openMsMax: number
  /** Probes that must succeed in a row before it closes. Default 3. */
  readonly successesToClose: number
  /** A probe without a result after this long has failed. Default 60_000. */
  readonly probeMsMax: number
}

export const BREAKER_LIMITS: BreakerLimits = {
  consecutiveFailuresMax: 5,
  windowMs: 10_000,
  windowCallsMin: 20,
  failureRatioMax: 0.5,
  openMsInitial: 1_000,
  openMsMax: 30_000,
  successesToClose: 3,
  probeMsMax: 60_000,
}

/** Calls that began to count in one slice of the window. */
interface Slice {
  readonly fromMonoMs: number
  readonly calls: number
  readonly failures: number
}

export type BreakerState =
  | {
      readonly tag: "closed"
      readonly generation: number
      readonly consecutiveFailures: number
      readonly slices: readonly Slice[]
    }
  | {
      readonly tag: "open"
      readonly generation: number
      /** Openings since it was last closed, this one included. */
      readonly openings: number
      readonly untilMonoMs: number
    }
  | {
      readonly tag: "half-open"
      readonly generation: number
      readonly openings: number
      readonly successes: number
      /** Probes begun in this generation; the newest is the one in flight, if any is. */
      readonly probes: number
      readonly probeSinceMonoMs: number | null
    }

/** Leave to make one call. */
export interface Pass {
  readonly generation: number
  /** Which probe of a half-open generation it is; 0 for a call that is none. */
  readonly probe: number
}

/** What a call says about the backend. `ignored`: nothing, as when it was interrupted. */
export type CallVerdict = "success" | "failure" | "ignored"

export interface Admission {
  readonly state: BreakerState
  /** Null: rejected. */
  readonly pass: Pass | null
}

const SLICES = 10

export const CLOSED: BreakerState = { tag: "closed", generation: 0, consecutiveFailures: 0, slices: [] }

const opened = (limits: BreakerLimits, from: BreakerState, nowMonoMs: number, jitter01: number): BreakerState => {
  const openings = from.tag === "closed" ? 1 : from.openings + 1
  const ceilingMs = Math.min(limits.openMsInitial * 2 ** (openings - 1), limits.openMsMax)
  // Half of it is sure, so that a backend gets its rest; half is chance, so that many breakers do not knock at once.
  const openMs = ceilingMs / 2 + (ceilingMs / 2) * jitter01
  return { tag: "open", generation: from.generation + 1, openings, untilMonoMs: nowMonoMs + openMs }
}

/**
 * May one more call be made now?
 *
 * @param deadlineMs - the call's own; one that may take longer than `probeMsMax` (a stream) is no probe, and waits for closed
 * @param jitter01 - in [0, 1); used only where a hung probe opens the breaker again
 */
export function admit(
  limits: BreakerLimits,
  state: BreakerState,
  deadlineMs: number,
  nowMonoMs: number,
  jitter01: number,
): Admission {
  if (state.tag === "closed") return { state, pass: { generation: state.generation, probe: 0 } }
  const mayProbe = deadlineMs <= limits.probeMsMax
  if (state.tag === "open") {
    if (!mayProbe || nowMonoMs < state.untilMonoMs) return { state, pass: null }
    return probed({
      tag: "half-open",
      generation: state.generation + 1,
      openings: state.openings,
      successes: 0,
      probes: 1,
      probeSinceMonoMs: nowMonoMs,
    })
  }
  if (state.probeSinceMonoMs === null) {
    if (!mayProbe) return { state, pass: null }
    return probed({ ...state, probes: state.probes + 1, probeSinceMonoMs: nowMonoMs })
  }
  if (nowMonoMs - state.probeSinceMonoMs < limits.probeMsMax) return { state, pass: null }
  return { state: opened(limits, state, nowMonoMs, jitter01), pass: null }
}

const probed = (state: Extract<BreakerState, { tag: "half-open" }>): Admission => ({
  state,
  pass: { generation: state.generation, probe: state.probes },
})

/**
 * The state after a call's result.
 *
 * @param jitter01 - in [0, 1); spreads the length of an opening
 */
export function settle(
  limits: BreakerLimits,
  state: BreakerState,
  pass: Pass,
  verdict: CallVerdict,
  nowMonoMs: number,
  jitter01: number,
): BreakerState {
  if (pass.generation !== state.generation) return state
  if (state.tag === "closed") return counted(limits, state, verdict, nowMonoMs, jitter01)
  if (state.tag === "open" || state.probeSinceMonoMs === null || pass.probe !== state.probes) return state
  if (verdict === "failure") return opened(limits, state, nowMonoMs, jitter01)
  if (verdict === "ignored") return { ...state, probeSinceMonoMs: null }
  const successes = state.successes + 1
  if (successes < limits.successesToClose) return { ...state, successes, probeSinceMonoMs: null }
  return { tag: "closed", generation: state.generation + 1, consecutiveFailures: 0, slices: [] }
}

const counted = (
  limits: BreakerLimits,
  state: Extract<BreakerState, { tag: "closed" }>,
  verdict: CallVerdict,
  nowMonoMs: number,
  jitter01: number,
): BreakerState => {
  if (verdict === "ignored") return state
  const failed = verdict === "failure" ? 1 : 0
  const consecutiveFailures = failed === 1 ? state.consecutiveFailures + 1 : 0
  const slices = sliced(limits, state.slices, nowMonoMs, failed)
  const next: BreakerState = { ...state, consecutiveFailures, slices }
  if (failed === 0) return next
  const calls = slices.reduce((sum, slice) => sum + slice.calls, 0)
  const failures = slices.reduce((sum, slice) => sum + slice.failures, 0)
  const tooMany = calls >= limits.windowCallsMin && failures / calls >= limits.failureRatioMax
  return tooMany || consecutiveFailures >= limits.consecutiveFailuresMax
    ? opened(limits, next, nowMonoMs, jitter01)
    : next
}

/** The slices that are still inside the window, with one more call. Never more than SLICES + 1. */
const sliced = (
  limits: BreakerLimits,
  slices: readonly Slice[],
  nowMonoMs: number,
  failed: 0 | 1,
): readonly Slice[] => {
  const sliceMs = limits.windowMs / SLICES
  const fromMonoMs = Math.floor(nowMonoMs / sliceMs) * sliceMs
  const last = slices.at(-1)
  const one: Slice =
    last?.fromMonoMs === fromMonoMs
      ? { fromMonoMs, calls: last.calls + 1, failures: last.failures + failed }
      : { fromMonoMs, calls: 1, failures: failed }
  const earlier = last?.fromMonoMs === fromMonoMs ? slices.slice(0, -1) : slices
  return [...earlier.filter((slice) => slice.fromMonoMs > nowMonoMs - limits.windowMs), one]
}
