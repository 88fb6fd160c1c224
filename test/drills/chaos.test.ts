import { expect, it } from "vitest"
import { chaos } from "../chaos/chaos.ts"
import { describeWithNats } from "../support/require.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"

/** The short form of `npm run chaos`. */
describeWithNats("kill -9 of everything that a cluster is made of", "newest", (server) => {
  it("I1 I2 I6 I7 is every acknowledged task ended once, whatever dies, one at a time and all at once?", async () => {
    const random = seeded(chosenSeed())
    const note = (text: string): void => void process.stdout.write(`chaos drill, seed ${random.seed}: ${text}\n`)
    const report = await chaos(server, {
      random,
      tasks: 150,
      kills: 7,
      lanes: 16,
      pauseMsMax: 2_000,
      downMsMax: 1_000,
      signal: "SIGKILL",
      note,
    })
    note(JSON.stringify(report))
    expect(report.violations).toEqual([])
    expect(report.slotsHeld).toBe(0)
    expect(Object.values(report.kills).reduce((sum, count) => sum + count, 0)).toBe(7)
    expect(report.acknowledged).toBeGreaterThanOrEqual(150)
  })
})
