import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { Berth, type RunOutcome } from "../../gateway/main/index.ts"
import { callEngine } from "../../gateway/provision/engineClient.ts"
import { describeWithDocker } from "../support/require.ts"

const blockOf = (user: string): number => Math.floor((Number(user.split(":")[0]) - 100_000) / 1_000)

describeWithDocker("has every program that runs a user id of its own? (UI1 to UI3)", (engine) => {
  let folder = ""
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "berth-users-"))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const open = (name: string, slots = 4): Promise<Berth> =>
    Berth.open({ dataDir: join(folder, name), engine: engine.host, slots })
  const user = (outcome: RunOutcome): string => String(outcome.task.result?.policy?.["user"])
  const userOfContainer = async (name: string): Promise<string> => {
    const path = `/containers/${name}/json`
    const { text } = await callEngine(engine.address, { method: "GET", path, timeoutMs: 30_000 })
    return (JSON.parse(text) as { readonly Config: { readonly User: string } }).Config.User
  }

  it("programs beside each other, of one server and of two, all have different ones", async () => {
    const servers = [await open("one"), await open("two")]
    try {
      const request = { runtime: "bash", code: "sleep 1; id -u" }
      const outcomes = await Promise.all(
        servers.flatMap((berth) => Array.from({ length: 4 }, () => berth.run(request))),
      )
      const users = outcomes.map(user)
      expect(outcomes.map(({ stdout }) => `${stdout.trim()}:${stdout.trim()}`)).toEqual(users)
      expect(new Set(users).size).toBe(8)
      expect(new Set(users.map(blockOf)).size).toBe(2)
    } finally {
      for (const berth of servers) await berth.close()
    }
  })

  it("what a server finds running keeps its ids, and nobody else gets them", async () => {
    const before = await open("again", 2)
    const left = await before.submit({ runtime: "bash", code: "echo up; sleep 300", graceMs: 0 })
    for await (const event of left.output()) if (event.type === "output") break
    const kept = await userOfContainer(`berth-${left.id}-1`)
    await before.close()
    const after = await open("again", 2)
    try {
      const users = (await Promise.all([1, 2, 3].map(() => after.run({ runtime: "bash", code: "true" })))).map(user)
      expect(users).not.toContain(kept)
      expect(users.map(blockOf)).not.toContain(blockOf(kept))
      expect(await userOfContainer(`berth-${left.id}-1`)).toBe(kept)
      await after.client.kill(left.id)
      expect(await after.client.task(left.id).result()).toMatchObject({ status: "cancelled", reason: "killed" })
    } finally {
      await after.close()
    }
  })
})
