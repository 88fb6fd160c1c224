/** Does the simulator find a bug that was planted in a copy of the shipped files, within a minute? */
import { spawn } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { PLANTS, type Plant } from "./planted.ts"

const ROOT = join(import.meta.dirname, "../..")
const COPIED = ["core", "actors", "store", "test/sim", "test/support", "package.json", "tsconfig.json"]
/** Beyond the minute that a bug may take to be found: for a machine that has other work. */
const PATIENCE_MS = 180_000

interface Said {
  readonly code: number | null
  readonly text: string
}

/** The simulator of a copy, for at most a minute of its own time. */
const simulate = (folder: string): Promise<Said> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ["--import", "tsx", "test/sim/main.ts", "--minutes", "1"], { cwd: folder })
    let text = ""
    child.stdout.on("data", (bytes: Buffer) => void (text += bytes.toString()))
    child.stderr.on("data", (bytes: Buffer) => void (text += bytes.toString()))
    child.on("close", (code) => resolve({ code, text }))
  })

const plant = (folder: string, { changes, file }: Plant): void => {
  let text = readFileSync(join(folder, file), "utf8")
  for (const [from, to] of changes) {
    expect(text.split(from).length - 1, `${file} must have this once: ${from}`).toBe(1)
    text = text.replace(from, () => to)
  }
  writeFileSync(join(folder, file), text)
}

describe("the simulator", () => {
  let folder = ""
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "berth-planted-"))
    for (const path of COPIED) cpSync(join(ROOT, path), join(folder, path), { recursive: true })
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each(PLANTS.map((one) => [one.bug, one] as const))("finds that %s", { timeout: PATIENCE_MS }, async (_, one) => {
    plant(folder, one)
    try {
      const { code, text } = await simulate(folder)
      expect(text).toMatch(one.finds)
      expect(code).toBe(1)
    } finally {
      cpSync(join(ROOT, one.file), join(folder, one.file))
    }
  })
})
