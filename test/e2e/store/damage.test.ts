/** Flipped bytes in the data directory of a stopped server: is each found, said of the task it hit, and of no other? */
import { closeSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { BerthClient } from "../../../gateway/client/index.ts"
import { clientOf, launchServer, type Ready, type ServerProcess, startServer } from "../../support/serverProcess.ts"
import { FLIPPED, tamper } from "../../support/sqlite.ts"

const IN_AN_HOUR_MS = 3_600_000
const ENDED = ["record", "output", "row", "blob", "whole"] as const
const WAITING = ["waitingRecord", "waitingRow"] as const
type Name = (typeof ENDED)[number] | (typeof WAITING)[number]

const folder = mkdtempSync(join(tmpdir(), "berth-damage-"))
const choice = { dataDir: join(folder, "data"), executor: "process" } as const
const ids = new Map<Name, string>()
const idOf = (name: Name): string => ids.get(name) ?? ""
let server: ServerProcess & { readonly at: Ready }
let client: BerthClient

const begin = async (): Promise<void> => {
  server = await startServer(choice)
  client = await clientOf(server.at)
}
const end = async (): Promise<void> => {
  await client.close()
  expect(await server.end("SIGTERM")).toEqual({ code: 0, signal: null })
}
const change = (sql: string, ...values: readonly (string | number)[]): Promise<void> =>
  Effect.runPromise(tamper(join(choice.dataDir, "berth.db"), sql, ...values))
const flipLastRecord = (subject: string): Promise<void> =>
  change(`update entries set body = ${FLIPPED} where seq = (select max(seq) from entries where subject = ?)`, subject)

/** Flips the last bit of the last byte of a file. */
function flipFile(path: string): void {
  const file = openSync(path, "r+")
  const bytes = Buffer.alloc(1_000_000)
  const count = readSync(file, bytes, 0, bytes.length, 0)
  writeSync(file, Buffer.of((bytes[count - 1] as number) ^ 1), 0, 1, count - 1)
  closeSync(file)
}

beforeAll(async () => {
  await begin()
  for (const name of ENDED) {
    const code = `mkdir -p out; echo ${name}; echo ${name} > out/file`
    const { id } = await client.submit({ runtime: "bash", code, artifacts: true })
    ids.set(name, id)
    expect((await client.task(id).result()).status).toBe("completed")
  }
  for (const name of WAITING) {
    const { id } = await client.submit({ runtime: "bash", code: `echo ${name}`, startAtMs: Date.now() + IN_AN_HOUR_MS })
    ids.set(name, id)
  }
  await end()
  for (const name of ["record", "waitingRecord"] as const) await flipLastRecord(`t.${idOf(name)}.s`)
  await flipLastRecord(`t.${idOf("output")}.o`)
  for (const name of ["row", "waitingRow"] as const)
    await change(`update tasks set body = ${FLIPPED} where id = ?`, idOf(name))
  const attempt = join(choice.dataDir, "blobs", idOf("blob"), "1")
  for (const file of readdirSync(attempt)) flipFile(join(attempt, file))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const outcome = async (doing: () => Promise<unknown>): Promise<unknown> => {
  try {
    return await doing()
  } catch (error) {
    return (error as { readonly code: string }).code
  }
}
const told = (name: Name) => ({
  status: () => outcome(async () => (await client.get(idOf(name))).status),
  printed: () =>
    outcome(async () => {
      let text = ""
      for await (const event of client.watch(idOf(name)))
        if (event.type === "output") text += Buffer.from(event.bytes).toString()
      return text.trim()
    }),
  kept: () =>
    outcome(async () =>
      Buffer.from(await client.task(idOf(name)).artifact("file"))
        .toString()
        .trim(),
    ),
})

describe("bytes that were flipped while the server was stopped", () => {
  it.each(["at the first start", "and at the next"])("%s: who is hit is told so, all others are served", async () => {
    await begin()
    try {
      const said = async (name: Name) => {
        const { kept, printed, status } = told(name)
        return [await status(), await printed(), await kept()]
      }
      const CORRUPT = "STORE_CORRUPT"
      expect(await said("whole")).toEqual(["completed", "whole", "whole"])
      // The model's rows are a fold of the log: made anew.
      expect(await said("row")).toEqual(["completed", "row", "row"])
      expect(await said("output")).toEqual(["completed", CORRUPT, "output"])
      expect(await said("blob")).toEqual(["completed", "blob", CORRUPT])
      expect(await said("record")).toEqual([CORRUPT, CORRUPT, CORRUPT])
      expect(await told("waitingRecord").status()).toBe(CORRUPT)
      expect(await outcome(() => client.cancel(idOf("waitingRecord")))).toBe(CORRUPT)
      expect(await told("waitingRow").status()).toBe("pending")

      const listed: string[] = []
      for await (const { id } of client.list({})) listed.push(id)
      for (const name of ["output", "row", "blob", "whole", "waitingRow"] as const) expect(listed).toContain(idOf(name))
      for (const name of ["record", "waitingRecord"] as const) expect(listed).not.toContain(idOf(name))
      const { id } = await client.submit({ runtime: "bash", code: "echo new" })
      expect(await client.task(id).result()).toMatchObject({ status: "completed", attempt: 1 })
    } finally {
      await end()
    }
  })

  it("in the last record of `control`: the server does not start, and says which record it is", async () => {
    await flipLastRecord("control")
    const broken = launchServer(choice)
    expect(await broken.ready).toBeNull()
    expect((await broken.ended).code).not.toBe(0)
    expect(broken.log()).toContain("STORE_CORRUPT")
    expect(broken.log()).toContain("of control is damaged")
  })
})
