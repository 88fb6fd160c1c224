import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { mkdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { BerthError } from "../../gateway/client/index.ts"
import { runCommand } from "../../gateway/provision/command.ts"
import { drained, emptied } from "../support/crashRounds.ts"
import { removeContainersOf, startWitness, type Witness } from "../support/engineWitness.ts"
import { describeAsDebianRoot, describeWithDocker } from "../support/require.ts"
import { clientOf, startServer } from "../support/serverProcess.ts"
import { faultsOf, tellStories } from "../support/story.ts"
import { Book, brief, counting, type Order } from "../support/workload.ts"

const DISK_BYTES = 32 * 1024 * 1024
const REFUSAL_MS_MAX = 1_000
const SUBMITS_MAX = 2_000

/** Writes until nothing more fits; down to single bytes, so that no room is left for anybody. */
function fill(path: string): void {
  const file = openSync(path, "w")
  for (let piece = 1024 * 1024; piece >= 1; piece = Math.floor(piece / 4)) {
    const bytes = Buffer.alloc(piece, 1)
    try {
      while (writeSync(file, bytes) === piece) continue
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC")
    }
  }
  closeSync(file)
}

/** Something to keep: a comment that takes room in the log. */
const bulky = (word: string): Order => {
  const { expected, request } = brief(word)
  return { expected, request: { ...request, code: `${request.code}\n# ${"x".repeat(30_000)}` } }
}

describeAsDebianRoot("a data directory of its own size", () => {
  describeWithDocker("a full disk", (engine) => {
    let folder = ""
    let disk = ""
    let filler = ""
    let witness: Witness | null = null

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "berth-disk-"))
      disk = join(folder, "disk")
      filler = join(disk, "filler")
      mkdirSync(disk)
      const mounted = await runCommand(["mount", "-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "berth-drill", disk], {
        timeoutMs: 10_000,
      })
      expect(mounted.code, mounted.stderr).toBe(0)
      witness = await startWitness(engine, join(folder, "events"))
    })
    afterAll(async () => {
      await witness?.stop()
      await runCommand(["umount", disk], { timeoutMs: 10_000 })
      rmSync(folder, { recursive: true, force: true })
    })

    it("I1 are submits refused at once, is nothing acknowledged lost, and does it go on by itself when there is room?", async () => {
      const choice = { dataDir: join(disk, "data"), engine: engine.host }
      let server = await startServer(choice)
      const port = Number(new URL(server.at.url).port)
      const client = await clientOf(server.at)
      const { clusterId } = await client.system()
      const book = new Book(client)
      const refusals: { readonly code: string; readonly ms: number }[] = []
      const refuse = async (order: Order): Promise<boolean> => {
        const beganMs = performance.now()
        try {
          await book.order(order)
          return false
        } catch (error) {
          refusals.push({ code: (error as BerthError).code, ms: performance.now() - beganMs })
          return true
        }
      }
      try {
        const running = await Promise.all([40, 60].map((lines) => book.order(counting(lines, 200))))
        for (const id of running) for await (const event of client.watch(id)) if (event.type === "output") break
        await Promise.all(Array.from({ length: 5 }, (_, index) => book.order(brief(`before-${index}`))))

        fill(filler)
        // The log may still have room that it took earlier; it is used up, and from then on everything is refused.
        let accepted = 0
        while (accepted < SUBMITS_MAX && !(await refuse(bulky(`filling-${accepted}`)))) accepted += 1
        expect(refusals.length).toBe(1)
        for (let index = 0; index < 5; index += 1) expect(await refuse(bulky(`full-${index}`))).toBe(true)
        expect(new Set(refusals.map(({ code }) => code))).toEqual(new Set(["STORAGE_FULL"]))
        expect(Math.max(...refusals.map(({ ms }) => ms))).toBeLessThan(REFUSAL_MS_MAX)
        expect(server.isAlive()).toBe(true)
        expect((await client.get(running[0] as string)).id).toBe(running[0])
        // The programs end meanwhile, and their ends have to wait.
        await sleep(3_000)

        rmSync(filler)
        while (await refuse(brief("first-after"))) await sleep(100)
        await drained(client)
        expect((await client.queue()).byStatus.completed).toBe(book.accepted.length)

        fill(filler)
        accepted = 0
        while (accepted < SUBMITS_MAX && !(await refuse(bulky(`again-${accepted}`)))) accepted += 1
        await server.end("SIGKILL")
        rmSync(filler)
        server = await startServer({ ...choice, port })
        await drained(client)
        const stories = await tellStories(client, book.accepted)
        expect(stories.flatMap((story) => faultsOf(story, witness!.starts(clusterId)))).toEqual([])
        expect((await client.queue()).byStatus.completed).toBe(book.accepted.length)
        expect(await emptied(engine, clusterId)).toEqual([])
        process.stdout.write(
          `disk drill: ${book.accepted.length} accepted, ${refusals.length} refused within ${Math.ceil(Math.max(...refusals.map(({ ms }) => ms)))} ms\n`,
        )
      } catch (error) {
        process.stdout.write(server.log().split("\n").slice(-40).join("\n"))
        throw error
      } finally {
        await client.close()
        await server.end("SIGTERM")
        await removeContainersOf(engine, clusterId)
      }
    })
  })
})
