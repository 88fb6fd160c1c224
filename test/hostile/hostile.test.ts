import { spawn } from "node:child_process"
import { afterAll, beforeAll, expect, it } from "vitest"
import { callEngine } from "../../gateway/provision/engineClient.ts"
import { runtimeImage } from "../support/images.ts"
import { describeWithDocker } from "../support/require.ts"
import { IMAGES } from "./images.ts"
import { OUTPUTS } from "./outputs.ts"
import { PROCESSES } from "./processes.ts"
import { CANARY_VARIABLE, Scene } from "./scene.ts"

/** Beyond time limit and grace period; generous, because other work on the machine is not the program's doing. */
const OVERDUE_MS_MAX = 15_000
const GRACE_MS = 2_000

describeWithDocker("is a hostile program contained, and is all as it was afterwards?", (engine) => {
  let scene: Scene | null = null
  beforeAll(async () => {
    scene = await Scene.open(engine)
  })
  afterAll(async () => {
    process.stdout.write(`hostile programs: ${scene?.summary()}\n`)
    await scene?.close()
  })

  it.each([...PROCESSES, ...OUTPUTS, ...IMAGES].map((row) => [row.name, row] as const))("%s", async (_, row) => {
    const here = scene
    if (here === null) throw new Error("there is no server")
    const request = await row.request(here)
    const seen = await here.berth.run(request)
    const { result } = seen.task
    // Of a program that failed it is told why, which the assertions alone would not.
    expect(seen, `${seen.status} ${seen.reason} ${seen.message}\n${seen.stderr.slice(0, 2_000)}`).toMatchObject(
      row.ends,
    )
    expect(seen.attempt).toBe(1)
    const { graceMs = GRACE_MS, timeoutMs = 60_000 } = request
    expect(seen.wallMs ?? 0).toBeLessThan(timeoutMs + graceMs + OVERDUE_MS_MAX)
    await row.holds?.(seen, here)
    await here.check({ printed: seen.stdout + seen.stderr, policy: result?.policy ?? null })
  })

  it("the checks themselves: a container and a process that are left are seen, and a canary that gets out", async () => {
    const here = scene
    if (here === null) throw new Error("there is no server")
    const path = "/containers/create"
    const body = { Image: await runtimeImage(engine, "bash"), Labels: { "berth.cluster": here.clusterId } }
    const name = `berth-left-${here.clusterId}`
    const query = [["name", name] as const]
    await callEngine(engine.address, { method: "POST", path, query, body, timeoutMs: 30_000 })
    const isRoot = process.getuid?.() === 0
    const left = isRoot ? spawn("sleep", ["600"], { uid: here.spareUid, stdio: "ignore" }) : null
    try {
      const complaint = await here.check({ printed: "", policy: null }).catch((error: unknown) => String(error))
      expect(complaint).toContain("berth-left-")
      if (isRoot) expect(complaint).toContain("sleep 600")
      const told = here.check({ printed: process.env[CANARY_VARIABLE] ?? "", policy: null })
      await expect(told).rejects.toThrow(/canary/)
    } finally {
      left?.kill("SIGKILL")
      const gone = [["force", "1"] as const]
      await callEngine(engine.address, {
        method: "DELETE",
        path: `/containers/${name}`,
        query: gone,
        timeoutMs: 30_000,
      })
    }
    await here.check({ printed: "", policy: null })
  })
})
