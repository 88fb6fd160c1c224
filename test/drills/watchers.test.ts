import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "vitest"
import { describeWithDocker } from "../support/require.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"
import { watchersAgree } from "../support/watchers.ts"

describeWithDocker("watchers of the same tasks", (engine) => {
  it("I7 do a steady one, a late one and two that are cut see the same, byte for byte, over two kills of the server?", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "berth-watchers-"))
    const random = seeded(chosenSeed())
    const note = (text: string) => process.stdout.write(`watchers drill, seed ${random.seed}: ${text}\n`)
    try {
      const plan = { engine, dataDir, random, note, tasks: 3, bytes: 150_000, pieceBytes: 900, pauseMs: 60, kills: 2 }
      expect(await watchersAgree(plan)).toBeGreaterThan(5)
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  })
})
