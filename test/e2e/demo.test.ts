import { spawn } from "node:child_process"
import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { describeWithDocker } from "../support/require.ts"
import { ROOT } from "../support/sourceTree.ts"

interface Shown {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

let scratch: string
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "berth-demonstrated-"))
})
afterEach(async () => {
  await rm(scratch, { recursive: true, force: true })
})

/** Runs the demo with a temporary folder of its own; `interruptAt`: Ctrl-C when this is shown. */
function demo(env: Readonly<Record<string, string>>, interruptAt?: string): Promise<Shown> {
  const child = spawn(process.execPath, [join(ROOT, "dist/gateway/demo/main.js")], {
    env: { ...process.env, TMPDIR: scratch, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  })
  const text = { out: "", err: "" }
  let isInterrupted = false
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text.out += chunk
    if (isInterrupted || interruptAt === undefined || !text.out.includes(interruptAt)) return
    isInterrupted = true
    child.kill("SIGINT")
  })
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    text.err += chunk
  })
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, ...text })))
}

/** First and last column of the table at the end. */
const verdictsOf = (out: string): Readonly<Record<string, string>> => {
  const table = out.slice(out.indexOf("as expected")).split("\n").slice(2)
  const rows = table.slice(0, table.indexOf("")).map((line) => line.trim().split(/ {2,}/))
  return Object.fromEntries(rows.map((cells) => [cells[0] ?? "", cells.at(-1) ?? ""]))
}

const ROWS = ["stream", "retry", "deadline", "stubborn", "cancel", "artifact", "memory", "sandbox", "holders", "lanes"]

describeWithDocker("the demo, with an engine", () => {
  it("shows everything as expected and leaves nothing", async () => {
    const { code, err, out } = await demo({})
    expect([code, err], out).toEqual([0, ""])
    expect(verdictsOf(out)).toEqual(Object.fromEntries([...ROWS, "leftovers"].map((row) => [row, "yes"])))
    expect(out).toContain("containers of this cluster, asked of the engine: 0; processes: 0")
    expect(out).not.toContain("\u001b")
    expect(await readdir(scratch)).toEqual([])
  })

  it("leaves nothing either when it is broken off", async () => {
    const { code, out } = await demo({}, "| line 1")
    expect(code).toBe(1)
    expect(out).toContain("containers of this cluster, asked of the engine: 0; processes: 0")
    expect(await readdir(scratch)).toEqual([])
  })
})

describe("the demo, without an engine", () => {
  it("says so in one line and runs plain processes, but for what needs containers", async () => {
    const { code, err, out } = await demo({ DOCKER_HOST: "unix:///nowhere.sock" })
    expect([code, err], out).toEqual([0, ""])
    expect(out.split("\n")[0]).toMatch(/^No container engine answers: .*isolates nothing\.$/)
    const plain = ROWS.map((row) => [row, row === "memory" || row === "sandbox" ? "-" : "yes"])
    expect(verdictsOf(out)).toEqual({ ...Object.fromEntries(plain), leftovers: "yes" })
    expect(await readdir(scratch)).toEqual([])
  })
})
