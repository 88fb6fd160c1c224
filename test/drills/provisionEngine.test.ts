import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it, vi } from "vitest"
import { runCommand } from "../../gateway/provision/command.ts"
import { startDaemon } from "../../gateway/provision/engine.ts"
import { callEngine } from "../../gateway/provision/engineClient.ts"
import { provideImages } from "../../gateway/provision/images.ts"
import { describeAsDebianRoot } from "../support/require.ts"

/** An engine of its own: socket, data and runtime folders apart from the machine's, and no network set-up. */
describeAsDebianRoot("provisioning on a machine without an engine", () => {
  const folder = mkdtempSync(join(tmpdir(), "berth-engine-"))
  const pidFile = join(folder, "pid")

  afterAll(async () => {
    const pid = Number(readFileSync(join(folder, "docker.pid"), "utf8"))
    process.kill(pid, "SIGTERM")
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 60_000, interval: 100 })
    rmSync(folder, { recursive: true, force: true })
  })

  const isAlive = (pid: number): boolean => {
    try {
      process.kill(pid, 0)
      return true
    } catch {
      return false
    }
  }

  it("does a daemon that cannot start end the attempt at once?", async () => {
    const logFile = join(folder, "broken.log")
    const flags = ["--no-such-flag"]
    expect(await startDaemon({ flags, host: `unix://${folder}/none.sock`, logFile, pidFile })).toBeNull()
    expect(readFileSync(logFile, "utf8")).toContain("no-such-flag")
  })

  it("starts an engine, and gives it an image that runs programs", async () => {
    const host = `unix://${folder}/docker.sock`
    const flags = [
      `--host=${host}`,
      `--data-root=${folder}/data`,
      `--exec-root=${folder}/exec`,
      `--pidfile=${folder}/docker.pid`,
      "--bridge=none",
      "--iptables=false",
      "--ip6tables=false",
    ]
    const engine = await startDaemon({ flags, host, logFile: join(folder, "dockerd.log"), pidFile })
    if (engine === null) throw new Error(readFileSync(join(folder, "dockerd.log"), "utf8"))
    expect(readFileSync(pidFile, "utf8").trim()).toBe(readFileSync(join(folder, "docker.pid"), "utf8").trim())

    const told: string[] = []
    const report = { note: (line: string) => void told.push(line), outcome: () => undefined }
    const first = await provideImages(engine, ["bash"], report)
    expect(first.map(({ status }) => status)).toEqual(["made"])
    const again = await provideImages(engine, ["bash"], report)
    expect(again.map(({ status }) => status)).toEqual(["present"])
    const left = await callEngine(engine.address, {
      method: "GET",
      path: "/containers/json",
      query: [["all", "1"]],
      timeoutMs: 5_000,
    })
    expect(JSON.parse(left.text)).toEqual([])
  })

  it("needs a second run only a glance when all is there", async () => {
    const main = join(import.meta.dirname, "../../dist/gateway/provision/main.js")
    const result = await runCommand([process.execPath, main, "--json", "bash"], { timeoutMs: 60_000 })
    const { ok, steps } = JSON.parse(result.stdout) as {
      ok: boolean
      steps: readonly { what: string; status: string }[]
    }
    expect(ok).toBe(true)
    expect(steps.map(({ what }) => what)).toEqual(expect.arrayContaining(["docker engine", "image for bash, perl"]))
    // Where a broker is required it is one more step, and there as well.
    expect(steps.filter(({ status }) => status !== "present")).toEqual([])
  })
})
