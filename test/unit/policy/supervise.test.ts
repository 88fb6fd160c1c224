/** When is a failed child started again, and when is it the parent's failure? */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { RESTART_INTENSITY, supervise } from "../../../core/policy/supervise.ts"

const LIMITS = { restartsMax: 3, windowMs: 1_000, delayMs: 10, outageDelayMs: 50 }
const crash = (monoMs: number) => ({ monoMs, disposition: "retryable" as const, isOutage: false })

describe("the intensity of restarts", () => {
  it("as many as are allowed in the window restart; one more escalates", () => {
    let failures: readonly number[] = []
    const directives: string[] = []
    for (const monoMs of [0, 1, 2, 3]) {
      const [directive, recent] = supervise(LIMITS, failures, crash(monoMs))
      directives.push(directive.type)
      failures = recent
    }
    expect(directives).toEqual(["restart", "restart", "restart", "escalate"])
  })

  it("escalates exactly when the window holds more failures than are allowed, and remembers no older ones", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 600 }), { maxLength: 40 }), (pauses) => {
        let failures: readonly number[] = []
        let nowMs = 0
        const times: number[] = []
        for (const pause of pauses) {
          nowMs += pause
          times.push(nowMs)
          const [directive, recent] = supervise(LIMITS, failures, crash(nowMs))
          const inWindow = times.filter((at) => at > nowMs - LIMITS.windowMs)
          expect(recent).toEqual(inWindow)
          expect(directive.type).toBe(inWindow.length > LIMITS.restartsMax ? "escalate" : "restart")
          failures = recent
        }
      }),
    )
  })

  it("a terminal failure stops at once", () => {
    expect(supervise(LIMITS, [], { monoMs: 0, disposition: "terminal", isOutage: false })[0]).toEqual({ type: "stop" })
    expect(supervise(LIMITS, [], { monoMs: 0, disposition: "terminal", isOutage: true })[0]).toEqual({ type: "stop" })
  })

  it("an outage of something outside restarts for as long as it lasts, and counts for nothing", () => {
    let failures: readonly number[] = []
    for (let monoMs = 0; monoMs < 500; monoMs += 1) {
      const [directive, recent] = supervise(LIMITS, failures, { monoMs, disposition: "retryable", isOutage: true })
      expect(directive).toEqual({ type: "restart", delayMs: LIMITS.outageDelayMs })
      failures = recent
    }
    expect(failures).toEqual([])
  })

  it("waits before every restart", () => {
    const [directive] = supervise(RESTART_INTENSITY, [], crash(0))
    expect(directive).toEqual({ type: "restart", delayMs: RESTART_INTENSITY.delayMs })
    expect(RESTART_INTENSITY.delayMs).toBeGreaterThan(0)
  })
})
