/** Time and chance of the client, given in so that tests decide both. */
export interface Timing {
  /** Milliseconds since some start; never falls. */
  readonly monoMs: () => number
  /** Epoch milliseconds. */
  readonly nowMs: () => number
  /** Calls back once after `ms` unless cancelled. */
  readonly after: (ms: number, callback: () => void) => () => void
  /** Uniform in [0, 1). */
  readonly random01: () => number
}

export const liveTiming: Timing = {
  monoMs: () => performance.now(),
  nowMs: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
  random01: () => Math.random(),
}
