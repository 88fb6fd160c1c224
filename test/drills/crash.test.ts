import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "vitest"
import { crashRounds } from "../support/crashRounds.ts"
import { startWitness } from "../support/engineWitness.ts"
import { describeWithDocker } from "../support/require.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"

describeWithDocker("kill -9 of a busy server", (engine) => {
  it("I1 I2 does every accepted task end once, and no program run twice, over five kills?", async () => {
    const folder = mkdtempSync(join(tmpdir(), "berth-crash-"))
    const witness = await startWitness(engine, join(folder, "events"))
    const random = seeded(chosenSeed())
    const note = (text: string) => process.stdout.write(`crash drill, seed ${random.seed}: ${text}\n`)
    try {
      const report = await crashRounds({
        engine,
        witness,
        random,
        note,
        dataDir: join(folder, "data"),
        rounds: 5,
        slots: 40,
        running: 30,
        waiting: 170,
        lines: { min: 60, max: 360, everyMs: 250 },
      })
      note(JSON.stringify(report))
      expect(report.adoptions).toBeGreaterThan(report.leftRunning / 2)
      expect(report.endedWhileDown).toBeGreaterThan(0)
    } finally {
      await witness.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
