/** Strict mode (SM1 to SM3): does it keep others away from an engine with known ways out, and nobody else? */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterEach, beforeEach, expect, it } from "vitest"
import { engineFactsOf } from "../../actors/executor/docker/ping.ts"
import { engineLines } from "../../gateway/main/doctorFloors.ts"
import { Berth, type OpenOptions } from "../../gateway/main/index.ts"
import { describeWithDocker } from "../support/require.ts"

describeWithDocker("strict mode", (engine) => {
  let dataDir: string
  beforeEach(() => {
    dataDir = join(mkdtempSync(join(tmpdir(), "berth-strict-")), "data")
  })
  afterEach(() => rmSync(join(dataDir, ".."), { recursive: true, force: true }))

  /** The code that a start is refused with, or null when it is not. */
  const refusalOf = async (options: OpenOptions): Promise<string | null> => {
    try {
      await (await Berth.open({ dataDir, engine: engine.host, strict: true, ...options })).close()
      return null
    } catch (error) {
      return (error as { readonly code: string }).code
    }
  }
  const listen = { port: 0 }

  it("SM1 refuses a door on an engine that doctor finds too old, by the very lines, and leaves nothing behind", async () => {
    const lines = engineLines(await Effect.runPromise(engineFactsOf(engine.host)))
    const low = lines.filter(({ verdict }) => verdict !== "ok").map(({ name }) => name)
    const refused = await Berth.open({ dataDir, engine: engine.host, strict: true, listen }).then(
      (berth) => berth.close(),
      (error: { readonly code: string; readonly message: string }) => error,
    )
    if (low.length === 0) return expect(refused).toBeUndefined()
    expect(refused).toMatchObject({ code: "SANDBOX_BELOW_FLOORS" })
    for (const name of low) expect(refused?.message).toContain(name)
    expect(existsSync(dataDir)).toBe(false)
  })

  it("SM2 refuses where nobody can say: no isolation, and no engine", async () => {
    expect(await refusalOf({ listen, executor: "process" })).toBe("SANDBOX_BELOW_FLOORS")
    expect(await refusalOf({ listen, engine: `unix://${dataDir}.sock` })).toBe("BACKEND_UNAVAILABLE")
  })

  it("SM3 lets one's own programs, and a server of handlers alone, start anywhere", async () => {
    expect(await refusalOf({ executor: "process" })).toBeNull()
    expect(await refusalOf({ listen, executor: "none" })).toBeNull()
    expect(await refusalOf({ listen, strict: false })).toBeNull()
  })
})
