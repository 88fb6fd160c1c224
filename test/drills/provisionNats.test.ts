import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { runCommand } from "../../gateway/provision/command.ts"
import { describeAsDebianRoot, describeWithDocker } from "../support/require.ts"

interface Answer {
  readonly ok: boolean
  readonly steps: readonly { readonly what: string; readonly status: string; readonly detail: string }[]
}

const MAIN = join(import.meta.dirname, "../../dist/gateway/provision/main.js")

describeWithDocker("provisioning where no broker is to be had", () => {
  const folder = mkdtempSync(join(tmpdir(), "berth-no-nats-"))
  const bin = join(folder, "bin")
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, "node"))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** With an empty cache, and of programs node alone: no server, and nothing to get one with. */
  const provision = async (require: string, ...words: string[]) => {
    const env = { BERTH_STATE_DIR: join(folder, "state"), PATH: bin, BERTH_REQUIRE: require }
    const { code, stdout } = await runCommand([process.execPath, MAIN, "--json", ...words], { timeoutMs: 60_000, env })
    const { ok, steps } = JSON.parse(stdout) as Answer
    return { code, ok, brokers: steps.filter(({ what }) => what.startsWith("nats-server")) }
  }

  it("says how to get one and goes on, unless somebody asked for it; leaves it out where it is not wanted", async () => {
    const lenient = await provision("")
    expect([lenient.code, lenient.ok]).toEqual([0, true])
    expect(lenient.brokers).toEqual([
      { what: "nats-server", status: "missing", detail: expect.stringMatching(/^install nats-server .* on PATH$/) },
      { what: "nats-server 2.10", status: "missing", detail: expect.stringContaining(join(folder, "state/nats")) },
    ])
    expect(await provision("nats")).toMatchObject({ code: 1, ok: false })
    expect(await provision("", "nats")).toMatchObject({ code: 1, ok: false })
    expect(await provision("", "--no-nats")).toEqual({ code: 0, ok: true, brokers: [] })
  })
})

describeAsDebianRoot("provisioning of a broker", () => {
  const folder = mkdtempSync(join(tmpdir(), "berth-nats-"))
  // Only what a cache of its own holds counts: node must be found, a server that is installed must not.
  const env = { BERTH_STATE_DIR: folder, PATH: `${dirname(process.execPath)}:/usr/bin:/bin` }
  const provision = () => runCommand([process.execPath, MAIN, "--json", "nats-2.10"], { timeoutMs: 300_000, env })

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it("unpacks a server of the oldest supported series, and finds it again", async () => {
    const first = await provision()
    const answer = JSON.parse(first.stdout) as Answer
    expect(answer.ok, first.stderr).toBe(true)
    const path = /at (\/.*)$/.exec(answer.steps[0]?.detail ?? "")?.[1] ?? ""
    expect((await runCommand([path, "--version"], { timeoutMs: 10_000 })).stdout).toMatch(/2\.10\.\d+/)
    expect(JSON.parse((await provision()).stdout)).toMatchObject({ ok: true, steps: [{ status: "present" }] })
  })
})
