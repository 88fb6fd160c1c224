import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { runCommand } from "../../../gateway/provision/command.ts"
import { underLock } from "../../../gateway/provision/lock.ts"

describe("the lock of provisioning", () => {
  let folder = ""
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "berth-lock-"))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it("lets one in at a time, and the next one in afterwards", async () => {
    const path = join(folder, "deep/lock")
    let inside = 0
    let waited = 0
    const enter = () =>
      underLock(
        path,
        60_000,
        () => void (waited += 1),
        async () => {
          inside += 1
          expect(inside).toBe(1)
          await new Promise((resolve) => setImmediate(resolve))
          inside -= 1
        },
      )
    await Promise.all([enter(), enter(), enter()])
    expect(waited).toBe(2)
    expect(existsSync(path)).toBe(false)
  })

  it("is given back when the work fails", async () => {
    const path = join(folder, "lock")
    const work = () => Promise.reject(new Error("no"))
    await expect(underLock(path, 0, () => undefined, work)).rejects.toThrow("no")
    expect(existsSync(path)).toBe(false)
  })

  it("gives up after its wait, naming the file", async () => {
    const path = join(folder, "lock")
    writeFileSync(path, `${process.pid}\n`)
    await expect(
      underLock(
        path,
        200,
        () => undefined,
        async () => 1,
      ),
    ).rejects.toThrow(path)
  })

  it("takes away what a dead process left", async () => {
    const path = join(folder, "lock")
    const dead = await runCommand([process.execPath, "-p", "process.pid"], { timeoutMs: 10_000 })
    writeFileSync(path, dead.stdout)
    expect(
      await underLock(
        path,
        10_000,
        () => undefined,
        async () => 1,
      ),
    ).toBe(1)
  })
})
