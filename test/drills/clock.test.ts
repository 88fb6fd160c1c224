import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, beforeEach, expect, it } from "vitest"
import type { BerthClient } from "../../gateway/client/index.ts"
import { bearer, knock, targetOf } from "../support/abuse/attack.ts"
import { connectRaw } from "../support/door.ts"
import { describeWithShim } from "../support/require.ts"
import { clientOf, type Ready, type ServerProcess, startServer } from "../support/serverProcess.ts"
import { makeShim, type Shim } from "../support/shim.ts"

const HOUR_MS = 3_600_000
const RETRY_MS = 5_000
const START_IN_MS = 6_000
const RUNS_S = 8
/** By how much a machine with other work may be late. */
const LATE_MS_MAX = 60_000

describeWithShim("a wall clock that is stepped, for the server alone,", () => {
  let folder = ""
  let shim: Shim
  let server: ServerProcess & { readonly at: Ready }
  let client: BerthClient

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "berth-clock-"))
    shim = makeShim(folder)
    server = await startServer({ dataDir: join(folder, "data"), executor: "process", env: shim.env })
    client = await clientOf(server.at)
  })
  afterEach(async () => {
    await client.close()
    await server.end("SIGTERM")
    shim.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** When a task's attempts began, on the test's own clock, and how it ended. */
  const follow = async (id: string) => {
    const startedMs: number[] = []
    for await (const event of client.watch(id))
      if (event.type === "state" && event.facts.includes("started")) startedMs.push(performance.now())
    const { result, ...task } = await client.get(id)
    return {
      startedMs,
      status: task.status,
      attempt: task.attempt,
      reason: result?.reason,
      wallMs: result?.wallMs ?? -1,
    }
  }

  it.each([
    ["an hour ahead", HOUR_MS],
    ["an hour back", -HOUR_MS],
  ])("%s: is nothing timed out, and no timer lost, doubled or early?", async (_name, offsetMs) => {
    // A limit that the step would exceed many times over, and that the program does not.
    const running = await client.submit({
      runtime: "bash",
      code: `for n in $(seq ${RUNS_S * 4}); do echo $n; sleep 0.25; done`,
      timeoutMs: 600_000,
    })
    for await (const event of client.watch(running.id)) if (event.type === "output") break
    const limited = await client.submit({ runtime: "bash", code: "sleep 600", timeoutMs: 6_000, graceMs: 500 })
    const retrying = await client.submit({
      runtime: "bash",
      code: "exit 3",
      maxAttempts: 3,
      retry: { delayMsInitial: RETRY_MS, delayMsMax: RETRY_MS, factor: 1 },
    })
    const orderedMs = performance.now()
    const later = await client.submit({ runtime: "bash", code: "echo later", startAtMs: Date.now() + START_IN_MS })
    // Too far ahead to be held on the monotonic clock: it goes by what the wall says.
    const muchLater = await client.submit({
      runtime: "bash",
      code: "echo much later",
      startAtMs: Date.now() + HOUR_MS / 2,
    })
    const stories = [running, limited, retrying, later].map(({ id }) => follow(id))
    await sleep(1_000)

    shim.setClock(offsetMs)
    const [ran, ended, retried, started] = await Promise.all(stories)

    expect(ran).toMatchObject({ status: "completed", attempt: 1, startedMs: { length: 1 } })
    expect(ran?.wallMs).toBeGreaterThan(RUNS_S * 500)
    expect(ran?.wallMs).toBeLessThan(LATE_MS_MAX * 2)
    expect(ended).toMatchObject({ status: "timeout", attempt: 1, startedMs: { length: 1 } })
    expect(retried).toMatchObject({ status: "failed", attempt: 3, startedMs: { length: 3 } })
    expect(started).toMatchObject({ status: "completed", attempt: 1, startedMs: { length: 1 } })
    const [first = 0, second = 0, third = 0] = retried?.startedMs ?? []
    // Full jitter may make a delay short; the step must neither make it long nor skip the whole of it to an hour.
    expect(third - first).toBeLessThan(2 * RETRY_MS + LATE_MS_MAX)
    expect(third).toBeGreaterThan(second)
    const waitedMs = (started?.startedMs[0] ?? 0) - orderedMs
    expect(waitedMs).toBeGreaterThan(START_IN_MS - 1_000)
    expect(waitedMs).toBeLessThan(START_IN_MS + LATE_MS_MAX)

    // Ahead, its time has come by the wall; back, it is further away than it was.
    if (offsetMs > 0)
      expect(await follow(muchLater.id)).toMatchObject({ status: "completed", startedMs: { length: 1 } })
    else expect(await client.get(muchLater.id)).toMatchObject({ status: "pending", phase: "delayed" })
    shim.setClock(0)
    const after = await client.submit({ runtime: "bash", code: "echo after" })
    expect(await follow(after.id)).toMatchObject({ status: "completed", startedMs: { length: 1 } })
    // Whatever was timed by the wall while it was off is not done once more now that it is right.
    expect((await client.get(later.id)).attempt).toBe(1)
    const { byStatus } = await client.queue()
    expect(byStatus.running).toBe(0)
    expect(byStatus.completed).toBe(offsetMs > 0 ? 4 : 3)
  })

  it("are tokens judged by it: an expired one closes its socket, one of the future is refused, and all is well when it is right", async () => {
    const target = targetOf(server.at)
    const short = await connectRaw(target, await target.token("ann", {}, HOUR_MS / 2))
    const long = await connectRaw(target, await target.token("bob", {}, 8 * HOUR_MS))
    shim.setClock(HOUR_MS)
    expect(await short.closed).toMatchObject({ code: 4401 })
    expect((await long.call("system.info")).result).toBeDefined()
    expect(await knock(target, { headers: bearer(await target.token("ann", {}, HOUR_MS / 2)) })).toBe(
      "401 UNAUTHORIZED",
    )
    shim.setClock(-HOUR_MS)
    // Made just now, an hour ahead of what the server takes for now.
    expect(await knock(target, { headers: bearer(await target.token("ann")) })).toBe("401 UNAUTHORIZED")
    expect((await long.call("system.info")).result).toBeDefined()
    shim.setClock(0)
    expect(await knock(target, { headers: bearer(await target.token("ann")) })).toBe("101")
    long.close()
  })
})
