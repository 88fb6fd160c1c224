import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { runCommand } from "../../gateway/provision/command.ts"
import { describeAsDebianRoot } from "../support/require.ts"

describeAsDebianRoot("provisioning of a broker", () => {
  const folder = mkdtempSync(join(tmpdir(), "berth-nats-"))
  const main = join(import.meta.dirname, "../../dist/gateway/provision/main.js")
  // Only what a cache of its own holds counts: node must be found, a server that is installed must not.
  const env = { BERTH_STATE_DIR: folder, PATH: `${dirname(process.execPath)}:/usr/bin:/bin` }
  const provision = () => runCommand([process.execPath, main, "--json", "nats-2.10"], { timeoutMs: 300_000, env })

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it("unpacks a server of the oldest supported series, and finds it again", async () => {
    const first = await provision()
    const answer = JSON.parse(first.stdout) as {
      readonly ok: boolean
      readonly steps: readonly { readonly detail: string }[]
    }
    expect(answer.ok, first.stderr).toBe(true)
    const path = /at (\/.*)$/.exec(answer.steps[0]?.detail ?? "")?.[1] ?? ""
    expect((await runCommand([path, "--version"], { timeoutMs: 10_000 })).stdout).toMatch(/2\.10\.\d+/)
    expect(JSON.parse((await provision()).stdout)).toMatchObject({ ok: true, steps: [{ status: "present" }] })
  })
})
