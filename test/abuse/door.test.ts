/**
 * Is every attack on the door refused as it has to be, by the shipped server, without a crash and with everybody else
 * served meanwhile? How late its event loop was and how much memory it took is measured by `npm run gates -- door`.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { ATTACKS } from "../support/abuse/all.ts"
import { type Attack, type Target, targetOf } from "../support/abuse/attack.ts"
import { type Bystander, startBystander } from "../support/abuse/bystander.ts"
import { type Ready, type ServerProcess, startServer } from "../support/serverProcess.ts"

let dataDir = ""
let server: ServerProcess & { readonly at: Ready }
let target: Target
let bystander: Bystander
/** They wait for seconds and take nothing, so all of them wait beside the others. */
let patient: Promise<readonly (readonly [name: string, cameOf: string])[]>
const PATIENT = ATTACKS.filter(({ isPatient }) => isPatient === true)

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "berth-abuse-"))
  server = await startServer({ dataDir, executor: "process", env: { BERTH_LOG: "error" } })
  target = targetOf(server.at)
  bystander = await startBystander(target)
  const cameOf = async ({ name, run }: Attack) =>
    [name, await run(target).catch((error: unknown) => `threw ${String(error)}`)] as const
  patient = Promise.all(PATIENT.map(cameOf))
})
afterAll(async () => {
  await bystander.stop()
  expect(await server.end("SIGTERM")).toEqual({ code: 0, signal: null })
  rmSync(dataDir, { recursive: true, force: true })
})
beforeEach(() => {
  expect(server.isAlive(), server.log()).toBe(true)
})

const unharmed = async (): Promise<void> => {
  const { callMs, failures } = await bystander.look()
  expect(failures).toEqual([])
  expect(callMs.length).toBeGreaterThan(0)
  expect(server.isAlive(), server.log()).toBe(true)
  expect(server.log()).not.toMatch(/defect|"level":(50|60)/)
}

describe("at the door of a real server", () => {
  it.each(ATTACKS.filter(({ isPatient }) => isPatient !== true).map((attack) => [attack.name, attack] as const))(
    "%s",
    async (_name, { expected, run }) => {
      expect(await run(target)).toBe(expected)
      await unharmed()
    },
  )

  it("what has to wait for the door's own times", async () => {
    expect(await patient).toEqual(PATIENT.map(({ expected, name }) => [name, expected]))
    await unharmed()
  })

  it("is each attack named once?", () => {
    expect(new Set(ATTACKS.map(({ name }) => name)).size).toBe(ATTACKS.length)
  })
})
