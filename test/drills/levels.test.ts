/** Do two versions of the program run side by side, and is the newer level of records written when the last older node has gone? */
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, it } from "vitest"
import { nodeLeaseMs } from "../../core/nodeLease.ts"
import { RECORD_LEVEL_MAX } from "../../core/recordLevel.ts"
import { EXIT } from "../../gateway/cli/exitCode.ts"
import type { BerthClient } from "../../gateway/client/index.ts"
import { check } from "../chaos/checker.ts"
import { load, type LoadReport } from "../chaos/load.ts"
import { programOf } from "../chaos/orders.ts"
import { lookAgain } from "../chaos/secondLook.ts"
import { markedSigns } from "../chaos/starts.ts"
import { allReady, ClusterProcesses, type NodeChoice, readinessOf } from "../support/clusterProcesses.ts"
import { type Build, newerBuild } from "../support/newerBuild.ts"
import { describeWithNats } from "../support/require.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"
import { storedLevels } from "../support/storedLevels.ts"

const [OLD, NEW] = [RECORD_LEVEL_MAX, RECORD_LEVEL_MAX + 1]
/** As leaders and gateways are told; workers keep their own, so that a slow machine costs none its tasks. */
const LEASE_MS = 1_500
const NODE_LEASE_MS = nodeLeaseMs(LEASE_MS)
/** The record that raises the level is looked for in the log; a pass of retention would let it go once it is settled. */
const KEPT = { BERTH_RETENTION_MS: "3600000" }
const LOOK_MS = 100
const OLDER = [
  ["l1", "leader"],
  ["g1", "gateway"],
  ["w1", "worker"],
] as const
const NEWER = [
  ["l2", "leader"],
  ["g2", "gateway"],
  ["w2", "worker"],
] as const

const note = (text: string): void => void process.stdout.write(`levels drill: ${text}\n`)

describeWithNats("an upgrade, node by node", "newest", (server) => {
  let cluster: ClusterProcesses
  let newer: Build
  let clients: readonly BerthClient[]
  let isLoading = true
  let loaded: Promise<LoadReport>

  const choiceOf = (roles: string, build: "older" | "newer"): NodeChoice => ({
    env: { ...KEPT, ...(roles === "worker" ? {} : { BERTH_LEASE_MS: String(LEASE_MS) }) },
    ...(build === "newer" ? { main: newer.main } : {}),
  })
  const recordLevels = () => Promise.all(clients.map(async (client) => (await client.system()).recordLevel))
  const headSeq = async () => (await storedLevels(cluster.broker.url)).at(-1)?.seq ?? 0
  const isAllOld = async (): Promise<void> => {
    const stored = await storedLevels(cluster.broker.url)
    expect(stored.filter(({ level }) => level !== OLD)).toEqual([])
    expect((await recordLevels()).map(({ inForce }) => inForce)).toEqual([OLD, OLD])
  }

  beforeAll(async () => {
    cluster = await ClusterProcesses.open(server)
    newer = newerBuild(join(cluster.folder, "newer"))
    // A newer leader that were alone for a while would not wait for older nodes that nobody has seen.
    await Promise.all(OLDER.map(([name, roles]) => cluster.start(name, roles, choiceOf(roles, "older"))))
    await Promise.all(NEWER.map(([name, roles]) => cluster.start(name, roles, choiceOf(roles, "newer"))))
    await allReady(cluster.nodes)
    const gateways = cluster.nodes.filter(({ roles }) => roles === "gateway")
    clients = await Promise.all([gateways, gateways.toReversed()].map((urls) => cluster.client(...urls)))
    const random = seeded(chosenSeed())
    const marks = join(cluster.folder, "marks")
    const orderOf = (number: number) => programOf({ random, marks }, number)
    loaded = load({ clients, orderOf, lanes: 4, tasks: 20, goesOn: () => isLoading })
    // Whoever waits for it hears of its failure.
    loaded.catch(() => {})
  })
  afterAll(() => cluster.close())

  it("RL2 LV2 writes the older level while older and newer nodes serve, lead and work, and says who holds it back", async () => {
    const older = OLDER.map(([, roles]) => `${roles} reads up to ${OLD}`)
    for (const { heldBackBy } of await recordLevels()) {
      expect(heldBackBy.map(({ level, roles }) => `${roles.join()} reads up to ${level}`)).toEqual(
        expect.arrayContaining(older),
      )
      expect(heldBackBy).toHaveLength(older.length)
      for (const { version } of heldBackBy) expect(`${version}-next`).toBe(newer.version)
    }
    for (let leads = await cluster.leader(); leads.name === "l1"; leads = await cluster.leader()) {
      await leads.end("SIGTERM")
      await cluster.leader(leads)
      await cluster.start("l1", "leader", choiceOf("leader", "older"))
    }
    // Time enough for a newer leader to raise the level, if older gateways and workers did not keep it from that.
    await sleep(2 * NODE_LEASE_MS)
    await allReady(cluster.nodes)
    await isAllOld()
  })

  it("RL2 LV1 writes the newer one when the last older node was replaced, and not before", async () => {
    let seq = 0
    for (const [name, roles] of OLDER) {
      await isAllOld()
      const node = cluster.nodes.find((each) => each.name === name)!
      // Here the last older one is still there; who raises the level may do so as soon as it is gone.
      seq = await headSeq()
      await node.end("SIGTERM")
      await cluster.start(name, roles, choiceOf(roles, "newer"))
      await allReady(cluster.nodes)
    }
    while ((await recordLevels()).some(({ inForce }) => inForce === OLD)) await sleep(LOOK_MS)
    for (const { heldBackBy, readable } of await recordLevels()) expect([heldBackBy, readable]).toEqual([[], NEW])
    const atSeq = (await storedLevels(cluster.broker.url)).find(({ raises }) => raises)?.seq ?? 0
    expect(atSeq).toBeGreaterThan(seq)
    // A node writes as before until it has read so far.
    for (const node of cluster.nodes)
      while (((await readinessOf(node))?.checkpointSeq ?? 0) < atSeq) await sleep(LOOK_MS)
    const readSeq = await headSeq()
    const outcomes = await Promise.all(clients.map((client) => client.run({ runtime: "bash", code: "echo x" })))
    const stored = await storedLevels(cluster.broker.url)
    expect(stored.filter(({ level, seq: at }) => level !== OLD && at <= atSeq)).toEqual([])
    const after = stored.filter(({ seq: at }) => at > readSeq)
    for (const { task } of outcomes)
      expect(after.filter(({ subject }) => subject.includes(task.id)).length).toBeGreaterThan(3)
    expect(after.filter(({ level }) => level !== NEW)).toEqual([])
    note(`of ${stored.length} records those up to ${atSeq} are of level ${OLD}`)
  })

  it("RL3 N5 refuses older nodes that come late, whatever their roles, saying why, and goes on", async () => {
    const late = ["gateway", "leader", "worker"].map((roles) =>
      cluster.launch(`late-${roles}`, roles, choiceOf(roles, "older")),
    )
    for (const { ended, log } of late) {
      expect(await ended).toMatchObject({ code: EXIT.ownFailure })
      expect(log()).toMatch(/written by a newer Berth/)
      expect(log()).toContain(`knows up to ${OLD}`)
    }
    expect((await recordLevels()).flatMap(({ heldBackBy }) => heldBackBy)).toEqual([])
  })

  it("I1 I2 has lost nothing and run nothing twice", async () => {
    isLoading = false
    const books = await loaded
    const marks = markedSigns(join(cluster.folder, "marks"))
    // Its log has records that this program does not read: of two gateways that do, one stands for it.
    const ids = books.watched.map(({ id }) => id)
    const [log, again] = await Promise.all(clients.map((client) => lookAgain([client], ids)))
    const signs = { marks, engine: [] }
    const verdict = check(books.watched, { log: log!, again: [again!], signs, runsOnce: true })
    expect([...books.faults, ...verdict.violations]).toEqual([])
    expect((await clients[0]!.queue()).slotsHeld).toBe(0)
    const { byStatus, told, workerLosses } = verdict
    note(
      `${books.acknowledged} tasks, ${JSON.stringify(byStatus)}, ${told.marks.adoptions} adopted, ${workerLosses} lost and taken over`,
    )
  })
})
