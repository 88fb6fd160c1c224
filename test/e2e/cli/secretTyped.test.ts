/** A secret that is typed at a real terminal: taken, and not shown. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { CLI_MAIN, runCli } from "../../support/cliProcess.ts"
import { describeWithTerminal } from "../../support/require.ts"

describeWithTerminal("a secret that is typed", (script) => {
  const folder = mkdtempSync(join(tmpdir(), "berth-typed-"))
  const data = join(folder, "data")
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** What the terminal shows, of a program that is sent these keys as soon as it says that it reads. */
  const atTerminal = (
    command: string,
    keys: string,
  ): Promise<{ readonly code: number | null; readonly shown: string }> =>
    new Promise((resolve, reject) => {
      const child = spawn(script, ["-qefE", "always", "-c", command, "/dev/null"], { timeout: 60_000 })
      let shown = ""
      let isSent = false
      child.stdout.on("data", (bytes: Buffer) => {
        shown += bytes.toString()
        if (isSent || !shown.includes("Ctrl-D ends it")) return
        isSent = true
        child.stdin.write(keys)
      })
      child.once("error", reject).once("close", (code) => resolve({ code, shown }))
    })

  it("is kept as it was meant, and nobody who looks at the terminal has seen it", async () => {
    const command = `${process.execPath} ${CLI_MAIN} secret set TOKEN --executor process --data ${data}`
    const { code, shown } = await atTerminal(command, "hush-12\x7f3\r\x04")
    expect([code, shown]).toEqual([0, expect.stringContaining("kept TOKEN")])
    expect(shown).not.toContain("hush")
    writeFileSync(join(folder, "tell.py"), 'import os; print(os.environ["TOKEN"][::-1])\n')
    const told = await runCli(["run", "tell.py", "--secret", "TOKEN", "--executor", "process", "--data", data], {
      cwd: folder,
    })
    expect(told).toEqual({ code: 0, out: "31-hsuh\n", err: "" })
  })

  it("is not kept after Ctrl-C", async () => {
    const command = `${process.execPath} ${CLI_MAIN} secret set LATER --executor process --data ${data}`
    const { code, shown } = await atTerminal(command, "hush\x03")
    expect([code, shown.includes("kept"), shown.includes("hush")]).toEqual([130, false, false])
    const listed = await runCli(["secret", "ls", "--executor", "process", "--data", data])
    expect(listed.out.split("\n")).not.toContain("LATER")
  })
})
