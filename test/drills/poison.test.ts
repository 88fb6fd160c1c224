import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { startChild } from "../support/child.ts"

const NODE = fileURLToPath(new URL("../support/poisonNode.ts", import.meta.url))
/** More starts than a poisonous task may cost. */
const STARTS_MAX = 6

describe("a task whose running kills its server", () => {
  it("is it quarantined after three deaths, with no attempt used, and do the others go on?", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "berth-poison-"))
    try {
      let deaths = 0
      let told: readonly string[] = []
      for (let start = 0; start < STARTS_MAX && told.length === 0; start += 1) {
        const node = startChild(NODE, [dataDir])
        const code = await node.ended
        if (code === 0) told = node.lines
        else {
          expect(node.process.signalCode).toBe("SIGKILL")
          deaths += 1
        }
      }
      expect(deaths).toBe(3)
      const [poison, quick] = told.map((line) => JSON.parse(line) as Record<string, unknown>)
      expect(poison).toMatchObject({
        handler: "poison",
        status: "failed",
        attempt: 1,
        history: [],
        result: { reason: "quarantined", message: expect.stringContaining("3 workers died") as string },
      })
      expect(quick).toMatchObject({ handler: "quick", status: "completed", result: { value: "well" } })
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  })
})
