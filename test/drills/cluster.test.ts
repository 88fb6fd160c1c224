/** Does a cluster of real processes stay one system while its gateways and leaders come and go? */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { BerthClient, TaskEvent } from "../../gateway/client/index.ts"
import {
  allReady,
  type ClusterNode,
  ClusterProcesses,
  marking,
  marksOf,
  readinessOf,
} from "../support/clusterProcesses.ts"
import { followControl, lateFacts } from "../support/controlFacts.ts"
import { deleteQueue } from "../support/brokerTrouble.ts"
import { describeWithNats } from "../support/require.ts"

const note = (text: string): void => void process.stdout.write(`cluster drill: ${text}\n`)

describeWithNats("a cluster", "newest", (server) => {
  let cluster: ClusterProcesses
  let gateways: ClusterNode[] = []
  let marks = ""

  beforeAll(async () => {
    cluster = await ClusterProcesses.open(server)
    marks = join(cluster.folder, "marks")
    await Promise.all([cluster.start("l1", "leader"), cluster.start("l2", "leader")])
    gateways = await Promise.all([cluster.start("g1", "gateway"), cluster.start("g2", "gateway")])
    await Promise.all([cluster.start("w1", "worker"), cluster.start("w2", "worker")])
    await allReady(cluster.nodes)
  })
  afterAll(() => cluster.close())

  const ended = async (client: BerthClient, words: readonly string[], lines = 1, everyMs = 0) =>
    Promise.all(words.map((word) => client.run(marking(marks, word, lines, everyMs))))
  const wordsOf = (name: string, count: number) => Array.from({ length: count }, (_, n) => `${name}-${n}`)

  it("I2 do two gateways, two workers and two leaders bring every task to its end, each once?", async () => {
    const clients = await Promise.all(gateways.map((gateway) => cluster.client(gateway)))
    const words = clients.map((_, n) => wordsOf(`both${n}`, 15))
    const outcomes = (await Promise.all(clients.map((client, n) => ended(client, words[n]!)))).flat()
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => "completed"))
    const started = marksOf(marks)
    for (const word of words.flat()) expect([word, started.get(word)]).toEqual([word, 1])
    const infos = await Promise.all(clients.map((client) => client.system()))
    expect(infos.map(({ leader, roles, store }) => ({ leader, roles, store }))).toEqual(
      infos.map(() => ({ leader: false, roles: ["gateway"], store: "jetstream" })),
    )
    expect(infos[0]!.clusterId).toBe(infos[1]!.clusterId)
    expect(infos[0]!.leaderNode).toBe(infos[1]!.leaderNode)
    expect(infos[0]!.durability).toBe("fsynced")
    const queue = await clients[0]!.queue()
    expect([queue.workers.length, queue.slotsHeld]).toEqual([2, 0])
  })

  it("I7 do clients of two gateways see the same events, and reads follow writes on either?", async () => {
    const [one, two] = await Promise.all(gateways.map((gateway) => cluster.client(gateway)))
    const seen = async (client: BerthClient, id: string): Promise<readonly TaskEvent[]> => {
      const events: TaskEvent[] = []
      for await (const event of client.watch(id)) if (event.seq !== null) events.push(event)
      return events
    }
    const handles = await Promise.all(wordsOf("same", 4).map((word) => one!.submit(marking(marks, word, 8, 50))))
    const pairs = await Promise.all(handles.map(({ id }) => Promise.all([seen(one!, id), seen(two!, id)])))
    for (const [ours, theirs] of pairs) {
      expect(ours!.filter(({ type }) => type === "output").length).toBeGreaterThan(0)
      expect(theirs).toEqual(ours)
    }
    for (const { id } of handles) expect((await two!.get(id)).status).toBe("completed")
  })

  it.each([
    ["SIGKILL", 0],
    ["SIGTERM", 1],
  ] as const)("I7 does a watch go on at the other gateway after %s, without gap or repeat?", async (signal, index) => {
    const [first, second] = [gateways[index]!, gateways[1 - index]!]
    const client = await cluster.client(first, second)
    const handle = await client.submit(marking(marks, `moved-${signal}`, 40, 100))
    const decoder = new TextDecoder()
    let text = ""
    let seq = 0
    let isKilled = false
    for await (const event of client.watch(handle.id)) {
      if (event.seq !== null) {
        expect(event.seq).toBeGreaterThanOrEqual(seq)
        seq = event.seq
      }
      expect(event.type).not.toBe("gap")
      if (event.type === "output") text += decoder.decode(event.bytes)
      if (!isKilled && text.includes("line 5\n")) {
        isKilled = true
        void first.end(signal)
      }
    }
    expect(text).toBe(Array.from({ length: 40 }, (_, n) => `line ${n + 1}\n`).join(""))
    expect(client.url).toContain(new URL(second.at.url).host)
    await first.ended
    gateways[index] = await cluster.start(first.name, "gateway")
    await allReady([gateways[index]])
  })

  it.each(["SIGKILL", "SIGTERM"] as const)(
    "I3 does another node lead soon after %s of the leader, and is nothing lost or run twice?",
    async (signal) => {
      const client = await cluster.client(...gateways)
      const rounds = 2
      const tookMs: number[] = []
      for (let round = 0; round < rounds; round += 1) {
        const leader = await cluster.leader()
        const words = wordsOf(`led-${signal}-${round}`, 12)
        const running = ended(client, words, 3, 30)
        const beganMonoMs = performance.now()
        leader.signal(signal)
        await cluster.leader(leader)
        tookMs.push(performance.now() - beganMonoMs)
        await leader.ended
        const outcomes = await running
        expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => "completed"))
        for (const word of words) expect([word, marksOf(marks).get(word)]).toEqual([word, 1])
        await allReady([await cluster.start(leader.name, "leader")])
      }
      note(`another led ${tookMs.map(Math.round).join(", ")} ms after ${signal}`)
      expect(Math.max(...tookMs)).toBeLessThan(signal === "SIGKILL" ? 10_000 : 5_000)
      expect((await client.queue()).slotsHeld).toBe(0)
    },
  )

  it("I3 does a leader that stood still admit nothing more once another's term has begun?", async () => {
    const client = await cluster.client(...gateways)
    const words = wordsOf("paused", 30)
    const { facts, stop } = await followControl(cluster.broker.url)
    const paused = await cluster.leader()
    const running = ended(client, words, 3, 100)
    paused.signal("SIGSTOP")
    const next = await cluster.leader(paused)
    const more = ended(client, wordsOf("beside", 20))
    paused.signal("SIGCONT")
    const outcomes = [...(await running), ...(await more)]
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => "completed"))
    for (const word of words) expect([word, marksOf(marks).get(word)]).toEqual([word, 1])
    while ((await readinessOf(paused))?.leader !== false) await sleep(50)
    expect((await readinessOf(next))?.leader).toBe(true)
    await stop()
    expect(facts.some(({ type }) => type === "termBegan")).toBe(true)
    expect(lateFacts(facts)).toEqual([])
  })

  it("Q1 I5 is the queue's stream made anew when somebody deletes it with 500 tasks pending, and does each end once?", async () => {
    const clients = await Promise.all(gateways.map((gateway) => cluster.client(gateway)))
    // All slots are taken until a file is there, so that nothing else begins.
    const go = join(cluster.folder, "go")
    const waiting = { runtime: "bash", code: `until [ -e "$1" ]; do sleep 0.1; done`, args: [go], timeoutMs: 600_000 }
    const blockers = await Promise.all(wordsOf("block", 8).map(() => clients[0]!.submit(waiting)))
    for (const { id } of blockers) while ((await clients[0]!.get(id)).phase !== "running") await sleep(50)
    const words = clients.map((_, n) => wordsOf(`pending${n}`, 250))
    const statuses = async () => (await clients[0]!.queue()).byStatus
    const completedBefore = (await statuses()).completed
    await Promise.all(
      clients.map((client, n) => Promise.all(words[n]!.map((word) => client.submit(marking(marks, word))))),
    )
    while ((await statuses()).pending < 500) await sleep(50)
    const waking = await deleteQueue(cluster.broker.url, "main")
    const left = (await statuses()).pending
    writeFileSync(go, "")
    note(`the queue's stream was deleted with ${left} tasks pending and ${waking} wake-ups in it`)
    expect([left, waking > 0]).toEqual([500, true])
    for (let now = await statuses(); now.pending + now.running > 0; now = await statuses()) await sleep(200)
    expect((await statuses()).completed - completedBefore).toBe(blockers.length + 500)
    const begun = marksOf(marks)
    expect(words.flat().filter((word) => begun.get(word) !== 1)).toEqual([])
    expect((await clients[0]!.queue()).slotsHeld).toBe(0)
  })

  it("I10 does everybody say so while the broker is away, and go on by themselves when it is back?", async () => {
    const client = await cluster.client(gateways[0]!)
    await cluster.broker.stop("SIGKILL")
    const refused = await client.submit(marking(marks, "away"), { deadlineMs: 25_000 }).then(
      () => null,
      (error: { code: string; retryable: boolean }) => error,
    )
    expect(refused).toMatchObject({ retryable: true })
    for (const node of cluster.nodes) {
      expect(node.isAlive()).toBe(true)
      while ((await readinessOf(node))?.status === "ready") await sleep(50)
      expect(await readinessOf(node)).toMatchObject({ status: "not ready", trouble: "the log does not answer" })
      expect((await fetch(`${node.at.url}/health`)).status).toBe(200)
    }
    const stopped = gateways[1]!
    const worker = cluster.nodes.find(({ name }) => name === "w2")!
    for (const node of [stopped, worker]) {
      const beganMonoMs = performance.now()
      expect(await node.end("SIGTERM"), node.log()).toEqual({ code: 0, signal: null })
      note(`${node.name} stopped in ${Math.round(performance.now() - beganMonoMs)} ms while the broker was away`)
    }
    const started = [cluster.start("g2", "gateway"), cluster.start("w2", "worker")]
    for (const { at } of [stopped, worker]) {
      while ((await readinessOf({ at })) === null) await sleep(50)
      expect(await readinessOf({ at })).toMatchObject({
        status: "not ready",
        trouble: expect.stringContaining("waiting for the broker"),
      })
      expect((await fetch(`${at.url}/health`)).status).toBe(200)
    }
    cluster.broker.start()
    await cluster.broker.ready()
    await Promise.all(started)
    await allReady(cluster.nodes)
    const words = wordsOf("back", 10)
    const outcomes = await ended(client, words)
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => "completed"))
    for (const word of words) expect([word, marksOf(marks).get(word)]).toEqual([word, 1])
  })
})
