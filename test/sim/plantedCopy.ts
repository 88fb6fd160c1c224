/** A copy of the shipped files beside which nothing is touched, into which bugs are planted one at a time. */
import { spawn } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Plant } from "./planted.ts"

const ROOT = join(import.meta.dirname, "../..")
/** More than a bug may take to be found, for a machine that has other work; the gate holds the time itself against its bound. */
const MINUTES_MAX = 2.5
const COPIED = ["core", "actors", "store", "test/sim", "test/support", "package.json", "tsconfig.json"]

export interface Said {
  readonly code: number | null
  readonly text: string
  readonly elapsedMs: number
}

export class PlantedCopy {
  readonly #folder = mkdtempSync(join(tmpdir(), "berth-planted-"))

  constructor() {
    for (const path of COPIED) cpSync(join(ROOT, path), join(this.#folder, path), { recursive: true })
    symlinkSync(join(ROOT, "node_modules"), join(this.#folder, "node_modules"))
  }

  /** What the simulator says of the copy with this bug in it, after a few minutes at most. */
  async simulate(plant: Plant): Promise<Said> {
    this.#put(plant)
    try {
      return await this.#run(plant.nodes ?? 1)
    } finally {
      cpSync(join(ROOT, plant.file), join(this.#folder, plant.file))
    }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** @throws when the shipped file has changed so that the bug cannot be planted any more */
  #put({ changes, file }: Plant): void {
    let text = readFileSync(join(ROOT, file), "utf8")
    for (const [from, to] of changes) {
      const times = text.split(from).length - 1
      if (times !== 1) throw new Error(`${file} has this ${times} times instead of once: ${from}`)
      text = text.replace(from, () => to)
    }
    writeFileSync(join(this.#folder, file), text)
  }

  #run(nodes: number): Promise<Said> {
    return new Promise((resolve) => {
      const beganMs = performance.now()
      const args = ["--import", "tsx", "test/sim/main.ts", "--minutes", String(MINUTES_MAX), "--nodes", String(nodes)]
      const child = spawn(process.execPath, args, { cwd: this.#folder })
      let text = ""
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (bytes: Buffer) => {
          text += bytes.toString()
        })
      child.on("close", (code) => resolve({ code, text, elapsedMs: performance.now() - beganMs }))
    })
  }
}
