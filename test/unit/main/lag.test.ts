import { setTimeout as sleep } from "node:timers/promises"
import { Registry } from "prom-client"
import { expect, it } from "vitest"
import { lagGauge } from "../../../gateway/main/telemetry.ts"

const BLOCKED_MS = 300

it("how late was the event loop, since somebody last asked?", async () => {
  const registry = new Registry()
  const stop = lagGauge(registry)
  const worstMs = async (): Promise<number> =>
    Number(/^berth_event_loop_lag_ms\{quantile="1"\} (\S+)$/m.exec(await registry.metrics())?.[1])
  try {
    // The first look at the loop is what the next one is compared with.
    await sleep(100)
    const untilMs = performance.now() + BLOCKED_MS
    while (performance.now() < untilMs) continue
    await sleep(50)
    expect(await worstMs()).toBeGreaterThan(BLOCKED_MS / 2)
    expect(await registry.metrics()).toContain('berth_event_loop_lag_ms{quantile="0.99"}')
    // The reading before took the worst away with it, and hardly a moment has passed since.
    expect(await worstMs()).toBeLessThan(BLOCKED_MS)
  } finally {
    stop()
  }
})
