import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { BerthClient } from "../../gateway/client/index.ts"
import { drained, emptied } from "../support/crashRounds.ts"
import { containersOf, removeContainersOf, startWitness, type Witness } from "../support/engineWitness.ts"
import { describeWithDocker } from "../support/require.ts"
import { clientOf, launchServer, startServer } from "../support/serverProcess.ts"
import { adoptionsOf, faultsOf, tellStories } from "../support/story.ts"
import { Book, brief, counting } from "../support/workload.ts"

describeWithDocker("a server that is asked to stop", (engine) => {
  let folder = ""
  let witness: Witness | null = null

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "berth-stop-"))
    witness = await startWitness(engine, join(folder, "events"))
  })
  afterAll(async () => {
    await witness?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const printing = async (client: BerthClient, id: string): Promise<void> => {
    for await (const event of client.watch(id)) if (event.type === "output") return
  }

  it("do containers go on without it, and does the next server adopt them, byte for byte, twice in a row?", async () => {
    const choice = { dataDir: join(folder, "detach"), engine: engine.host }
    let server = await startServer(choice)
    const port = Number(new URL(server.at.url).port)
    const client = await clientOf(server.at)
    const { clusterId } = await client.system()
    try {
      const book = new Book(client)
      const ids = await Promise.all([100, 110, 120].map((lines) => book.order(counting(lines, 200))))
      for (let stop = 0; stop < 2; stop += 1) {
        await Promise.all(ids.map((id) => printing(client, id)))
        expect(await server.end("SIGTERM"), server.log()).toEqual({ code: 0, signal: null })
        const left = await containersOf(engine, clusterId)
        expect(left.map(({ state }) => state)).toEqual(["running", "running", "running"])
        server = await startServer({ ...choice, port })
      }
      await drained(client)
      const stories = await tellStories(client, book.accepted)
      expect(stories.flatMap((story) => faultsOf(story, witness!.starts(clusterId)))).toEqual([])
      expect(stories.map(adoptionsOf)).toEqual([2, 2, 2])
      expect(await emptied(engine, clusterId)).toEqual([])
    } finally {
      await client.close()
      await server.end("SIGTERM")
      await removeContainersOf(engine, clusterId)
    }
  })

  it("is a second server refused while it lives, and told who has the directory?", async () => {
    const choice = { dataDir: join(folder, "second"), engine: engine.host }
    const server = await startServer(choice)
    try {
      const second = launchServer(choice)
      expect(await second.ready).toBeNull()
      expect(await second.ended).toMatchObject({ code: 125 })
      expect(second.log()).toContain("DATA_DIR_LOCKED")
      expect(second.log()).toContain(String(server.pid))
      expect(second.log()).toContain(server.at.url)
      expect(server.isAlive()).toBe(true)
    } finally {
      expect(await server.end("SIGTERM")).toEqual({ code: 0, signal: null })
    }
    const next = await startServer(choice)
    expect(await next.end("SIGINT")).toEqual({ code: 0, signal: null })
  })

  it("I1 does a stop in the middle of many submits lose nothing that was acknowledged, and double nothing?", async () => {
    const choice = { dataDir: join(folder, "storm"), engine: engine.host }
    let server = await startServer(choice)
    const port = Number(new URL(server.at.url).port)
    const client = await clientOf(server.at)
    const { clusterId } = await client.system()
    try {
      const book = new Book(client)
      const acknowledged: string[] = []
      const storm = Array.from({ length: 60 }, async (_, index) => {
        acknowledged.push(await book.order(brief(`storm-${index}`)))
        if (acknowledged.length === 10) server.signal("SIGTERM")
      })
      expect(await server.ended).toEqual({ code: 0, signal: null })
      const before = [...acknowledged]
      server = await startServer({ ...choice, port })
      for (const id of before) expect((await client.get(id)).id).toBe(id)
      await Promise.all(storm)
      await drained(client)
      const stories = await tellStories(client, book.accepted)
      expect(stories.flatMap((story) => faultsOf(story, witness!.starts(clusterId)))).toEqual([])
      expect((await client.queue()).byStatus.completed).toBe(60)
      expect(await emptied(engine, clusterId)).toEqual([])
    } finally {
      await client.close()
      await server.end("SIGTERM")
      await removeContainersOf(engine, clusterId)
    }
  })
})
