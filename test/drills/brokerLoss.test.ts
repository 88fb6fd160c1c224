/**
 * One of three brokers killed and started again, every second time the one that leads the log, as the log's port sees it; what
 * clients see is in loss.test.ts. The long form is `BERTH_KILLS=10 npm run drills -- brokerLoss`.
 */
import { expect, it } from "vitest"
import { isolate } from "../support/effect.ts"
import { loseBrokers } from "../support/brokerLoss.ts"
import { NatsRig } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"

const KILLS = Number(process.env["BERTH_KILLS"] ?? 1)
/** A hang, and not a slow machine: the pause itself is printed, and is at most 12 s on a machine of its own. */
const HANG_MS = 60_000

describeWithNats("a cluster of three brokers", "newest", (server) => {
  const rig = new NatsRig(server, { nodes: 3 })

  it(`loses one of them ${KILLS} times, and nothing else`, async () => {
    const loss = await isolate(loseBrokers(rig, KILLS))
    const { acknowledged, appendMsMax, killed, readMsMax } = loss
    process.stdout.write(
      `  killed ${killed.join("; ")}: ${acknowledged} acknowledged, 0 lost; longest append ${Math.round(appendMsMax)} ms, longest read ${Math.round(readMsMax)} ms\n`,
    )
    expect(killed).toHaveLength(KILLS)
    expect(acknowledged).toBeGreaterThan(50)
    expect(Math.max(appendMsMax, readMsMax)).toBeLessThan(HANG_MS)
  })
})
