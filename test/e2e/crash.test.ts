import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "vitest"
import { crashRounds } from "../support/crashRounds.ts"
import { startWitness } from "../support/engineWitness.ts"
import { describeWithDocker } from "../support/require.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"
import { watchersAgree } from "../support/watchers.ts"

/** The short forms of two drills; `npm run drills` has the long ones. */
describeWithDocker("a server that is killed", (engine) => {
  const inFolder = async (run: (folder: string) => Promise<void>): Promise<void> => {
    const folder = mkdtempSync(join(tmpdir(), "berth-killed-"))
    try {
      await run(folder)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }

  it("I1 I2 does every accepted task end once, and no program run twice, over one kill?", () =>
    inFolder(async (folder) => {
      const witness = await startWitness(engine, join(folder, "events"))
      const random = seeded(chosenSeed())
      const said: string[] = [`seed ${random.seed}`]
      try {
        const report = await crashRounds({
          engine,
          witness,
          random,
          dataDir: join(folder, "data"),
          note: (text) => void said.push(text),
          rounds: 1,
          slots: 14,
          running: 3,
          waiting: 8,
          lines: { min: 25, max: 45, everyMs: 200 },
          delayMsMax: 6_000,
        })
        expect(report.adoptions).toBeGreaterThan(0)
      } catch (error) {
        throw new Error(said.join("\n"), { cause: error })
      } finally {
        await witness.stop()
      }
    }))

  it("I7 do a steady watcher, a late one and two that are cut see the same, byte for byte, over one kill?", () =>
    inFolder(async (folder) => {
      const random = seeded(chosenSeed())
      const said: string[] = [`seed ${random.seed}`]
      const note = (text: string) => void said.push(text)
      const plan = { engine, dataDir: folder, random, note, tasks: 1, bytes: 40_000, pieceBytes: 900, pauseMs: 60 }
      try {
        expect(await watchersAgree({ ...plan, kills: 1 })).toBeGreaterThan(0)
      } catch (error) {
        throw new Error(said.join("\n"), { cause: error })
      }
    }))
})
