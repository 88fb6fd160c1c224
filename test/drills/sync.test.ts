import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { expect, it } from "vitest"
import { targetOf } from "../support/abuse/attack.ts"
import { connectRaw } from "../support/door.ts"
import { describeWithShim } from "../support/require.ts"
import { startServer } from "../support/serverProcess.ts"
import { makeShim } from "../support/shim.ts"

const TASKS = 12

describeWithShim("a disk that does not sync", () => {
  it("I1 I10 is nothing acknowledged that is not durable, does the server say so, and does it go on by itself?", async () => {
    const folder = mkdtempSync(join(tmpdir(), "berth-sync-"))
    const shim = makeShim(folder)
    const choice = { dataDir: join(folder, "data"), executor: "process", env: shim.env } as const
    let server = await startServer(choice)
    try {
      const port = Number(new URL(server.at.url).port)
      // Its answers as they are: no client tries again behind our back.
      const target = targetOf(server.at)
      const raw = await connectRaw(target, await target.token("raw"))
      const submit = (word: string) =>
        raw.call("task.submit", { runtime: "bash", code: `echo ${word}`, idempotencyKey: word })
      const words = (when: string) => Array.from({ length: TASKS }, (_, index) => `${when}-${index}`)
      const acknowledged = new Map<string, string>()
      const accept = async (when: string): Promise<readonly string[]> => {
        const answers = await Promise.all(words(when).map(async (word) => [word, await submit(word)] as const))
        for (const [word, { result }] of answers) if (result !== undefined) acknowledged.set(word, result.task.id)
        return answers.map(([, { error }]) => error?.data.code ?? "ok")
      }
      expect(new Set(await accept("before"))).toEqual(new Set(["ok"]))

      shim.setSyncsFail(true)
      for (let round = 0; round < 3; round += 1) {
        const codes = await accept(`failing${round}`)
        expect(new Set(codes)).toEqual(new Set(["STORE_UNAVAILABLE"]))
        await sleep(300)
      }
      expect(server.isAlive(), server.log()).toBe(true)
      const { error } = await submit("one-more")
      expect([error.data.code, error.data.retryable]).toEqual(["STORE_UNAVAILABLE", true])
      expect(error.data.hint.length).toBeGreaterThan(10)

      shim.setSyncsFail(false)
      for (let answer = await submit("after"); answer.error !== undefined; answer = await submit("after"))
        await sleep(100)
      expect(new Set(await accept("again"))).toEqual(new Set(["ok"]))
      // What was refused may be asked for again, and is there once whatever the disk made of it.
      expect(new Set(await accept("failing0"))).toEqual(new Set(["ok"]))
      for (const [word, id] of acknowledged) expect((await submit(word)).result?.task.id ?? word).toBe(id)

      const before = [...acknowledged.values()]
      raw.close()
      await server.end("SIGKILL")
      server = await startServer({ ...choice, port })
      const reader = await connectRaw(target, await target.token("raw"))
      for (const id of before) {
        let task = (await reader.call("task.get", { id })).result?.task
        while (task?.status === "pending" || task?.status === "running") {
          await sleep(100)
          task = (await reader.call("task.get", { id })).result?.task
        }
        expect([id, task?.status, task?.attempt]).toEqual([id, "completed", 1])
      }
      reader.close()
    } catch (error) {
      process.stdout.write(server.log().split("\n").slice(-30).join("\n"))
      throw error
    } finally {
      shim.setSyncsFail(false)
      await server.end("SIGTERM")
      shim.close()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
