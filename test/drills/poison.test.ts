import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { startChild } from "../support/child.ts"
import { emptied } from "../support/crashRounds.ts"
import { removeContainersOf } from "../support/engineWitness.ts"
import { describeWithDocker } from "../support/require.ts"
import { clientOf, startServer } from "../support/serverProcess.ts"
import { counting } from "../support/workload.ts"

const NODE = fileURLToPath(new URL("../support/poisonNode.ts", import.meta.url))
/** More starts than a poisonous task may cost. */
const STARTS_MAX = 6

describeWithDocker("a task whose running takes its whole machine along", (engine) => {
  it("is it quarantined after three deaths, with no attempt used and nothing left?", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "berth-poison-"))
    let server = await startServer({ dataDir, engine: engine.host })
    const port = Number(new URL(server.at.url).port)
    const client = await clientOf(server.at)
    const { clusterId } = await client.system()
    try {
      const { id } = await client.submit(counting(3_000, 100).request)
      for (let death = 1; death <= 3; death += 1) {
        let epoch = 0
        for await (const event of client.watch(id)) {
          if (event.type === "state") epoch = event.task.epoch
          if (event.type === "output" && event.epoch === epoch && epoch === death) break
        }
        await server.end("SIGKILL")
        await removeContainersOf(engine, clusterId)
        server = await startServer({ dataDir, port, engine: engine.host })
      }
      const { task } = await client.task(id).result()
      expect(task).toMatchObject({ status: "failed", attempt: 1, result: { reason: "quarantined" } })
      expect(await emptied(engine, clusterId)).toEqual([])
    } finally {
      await client.close()
      await server.end("SIGTERM")
      await removeContainersOf(engine, clusterId)
      rmSync(dataDir, { recursive: true, force: true })
    }
  })
})

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
