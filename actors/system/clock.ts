import { Effect, Layer } from "effect"
import { Clock } from "../../core/ports/clock.ts"

/** The machine's own clocks. The only place that asks them. */
export const liveClock: Layer.Layer<Clock> = Layer.succeed(Clock, {
  nowMs: () => Date.now(),
  monoMs: () => performance.now(),
  sleep: (ms) => Effect.sleep(ms),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
})
