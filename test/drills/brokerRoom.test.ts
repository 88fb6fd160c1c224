/** A cluster whose log may take nothing more: what is refused, what goes on, and what happens by itself when there is room again? */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import type { BerthClient, SubmitRequest, TaskHandle } from "../../gateway/client/index.ts"
import { limitLog } from "../support/brokerTrouble.ts"
import { allReady, type ClusterNode, ClusterProcesses, marksOf, readinessOf } from "../support/clusterProcesses.ts"
import { describeWithNats } from "../support/require.ts"

const SLOTS = 4
/** Room for a few small records, so that what is refused first is large and then everything is. */
const SPARE_BYTES = 12_000
const SUBMITS_MAX = 200
/** Longer than a worker's lease, its grace and the leader's lease together. */
const FULL_MS = 18_000
const LOOK_MS = 50

const note = (text: string): void => void process.stdout.write(`room drill: ${text}\n`)

describeWithNats("a cluster whose log is full", "newest", (server) => {
  let cluster: ClusterProcesses
  let [gateway, leader, worker]: ClusterNode[] = []
  let client: BerthClient
  const path = (name: string): string => join(cluster.folder, name)
  const marked = (word: string): number => (existsSync(path("marks")) ? (marksOf(path("marks")).get(word) ?? 0) : 0)

  beforeAll(async () => {
    cluster = await ClusterProcesses.open(server)
    ;[leader, gateway, worker] = await Promise.all([
      cluster.start("l", "leader"),
      cluster.start("g", "gateway"),
      cluster.start("w", "worker", { slots: SLOTS }),
    ])
    await allReady(cluster.nodes)
    client = await cluster.client(gateway)
  })
  afterAll(() => cluster.close())

  /** Marks its beginning, ticks until a file is there (or everything is gone), and marks its end. */
  const until = (word: string, file: string): SubmitRequest => ({
    runtime: "bash",
    code: `echo "$1" >> "$2"; echo began; until [ -e "$3" ] || [ ! -e "$2" ]; do echo . >> "$4"; sleep 0.1; done; echo "$1-ended" >> "$2"; echo done`,
    args: [word, path("marks"), path(file), path(`${word}.ticks`)],
    timeoutMs: 600_000,
  })
  const ticks = (word: string): number => readFileSync(path(`${word}.ticks`)).length

  it("I1 I2 I10 are submits refused with STORAGE_FULL and what to do, is nothing lost, paused or run twice, and are they accepted again by themselves?", async () => {
    const accepted = new Map<string, TaskHandle>()
    const refused: { readonly word: string; readonly error: BerthError }[] = []
    const submit = async (word: string, request: SubmitRequest): Promise<boolean> => {
      try {
        accepted.set(word, await client.submit(request))
        return true
      } catch (error) {
        refused.push({ word, error: error as BerthError })
        return false
      }
    }
    writeFileSync(path("at-once"), "")
    const [ending, staying] = [
      ["ending-0", "ending-1"],
      ["staying-0", "staying-1"],
    ]
    for (const word of ending!) expect(await submit(word, until(word, "go"))).toBe(true)
    for (const word of staying!) expect(await submit(word, until(word, "later"))).toBe(true)
    while (![...accepted.keys()].every((word) => marked(word) === 1)) await sleep(LOOK_MS)
    for (let n = 0; n < 6; n += 1) expect(await submit(`pending-${n}`, until(`pending-${n}`, "at-once"))).toBe(true)

    await limitLog(cluster.broker.url, "main", SPARE_BYTES)
    const large = { ...until("large", "at-once"), code: `: ${"x".repeat(30_000)}` }
    expect(await submit("large", large)).toBe(false)
    let small = 0
    while (small < SUBMITS_MAX && (await submit(`small-${small}`, until(`small-${small}`, "at-once")))) small += 1
    expect(small).toBeLessThan(SUBMITS_MAX)

    // Two programs end, and their ends do not fit; two go on.
    writeFileSync(path("go"), "")
    while (!ending!.every((word) => marked(`${word}-ended`) === 1)) await sleep(LOOK_MS)
    const before = staying!.map(ticks)
    await sleep(FULL_MS)
    expect(await submit("still", until("still", "at-once"))).toBe(false)
    for (const { error } of refused) {
      expect(error).toMatchObject({ code: "STORAGE_FULL", retryable: true })
      expect(error.advice).toContain("max_bytes")
    }
    for (const [n, word] of staying!.entries()) expect(ticks(word)).toBeGreaterThan(before[n]! + 50)
    const during = await Promise.all([...accepted.values()].map((handle) => handle.get()))
    expect(during.filter(({ status }) => status === "running").length).toBe(SLOTS)
    expect(during.filter(({ status }) => status === "pending").length).toBe(during.length - SLOTS)
    for (const node of cluster.nodes)
      expect([node.name, (await readinessOf(node))?.status]).toEqual([node.name, "ready"])
    note(`${accepted.size} accepted, ${refused.length} refused, ${small} of them small; full for ${FULL_MS} ms`)

    await limitLog(cluster.broker.url, "main", null)
    expect(await submit("after", until("after", "at-once"))).toBe(true)
    writeFileSync(path("later"), "")
    for (const [word, handle] of accepted) expect([word, (await handle.result()).status]).toEqual([word, "completed"])
    const tasks = await Promise.all([...accepted.values()].map((handle) => handle.get()))
    expect(tasks.map(({ attempt, epoch }) => [attempt, epoch])).toEqual(tasks.map(() => [1, 1]))
    const words = [...accepted.keys()].flatMap((word) => [word, `${word}-ended`])
    expect(marksOf(path("marks"))).toEqual(new Map(words.map((word) => [word, 1])))
    expect(await client.queue()).toMatchObject({ slotsHeld: 0, byStatus: { completed: accepted.size } })
    expect(worker!.log()).not.toContain("programs are paused")
    expect(leader!.log()).not.toContain("leads no longer")
    for (const node of cluster.nodes) expect([node.name, node.isAlive()]).toEqual([node.name, true])
  })
})
