/** Is a task that is retried at once started, although its last attempt is still being removed? */
import { describe, expect, it } from "vitest"
import { settle } from "../../../support/clock.ts"
import { workerRigs } from "../../../support/workerRig.ts"

const rigged = workerRigs()

describe("a wake-up for the next epoch, while the last attempt is being removed (WO1)", () => {
  it("waits for the removal and is then started, without another wake-up", async () => {
    const rig = await rigged()
    await rig.start("t1", { spec: { retry: { maxAttempts: 2, delayMsInitial: 0, delayMsMax: 0, factor: 1 } } })
    const first = await rig.executor.run1("t1")
    rig.executor.hold("remove")
    first.exit({ status: "failed", reason: "exit_nonzero", exitCode: 1 })
    const waiting = await rig.untilState("t1", ({ status }) => status === "pending", "pending again")
    if (waiting.wakeAtMs !== null) {
      const wake = { type: "wake", wakeAtMs: waiting.wakeAtMs, nowMs: waiting.wakeAtMs } as const
      await rig.run(rig.turns.turn("t1", wake))
    }
    await rig.wake("t1")
    await settle()
    expect((await rig.state("t1")).status).toBe("pending")
    rig.executor.letGo("remove")
    expect(await rig.untilState("t1", ({ epoch }) => epoch === 2, "started again")).toMatchObject({ status: "running" })
  })
})
