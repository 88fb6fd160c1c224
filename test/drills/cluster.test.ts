/** Does a cluster of real processes stay one system while its gateways and leaders come and go? */
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Context, Effect, Fiber, Stream } from "effect"
import { afterAll, beforeAll, expect, it } from "vitest"
import { EventLog } from "../../core/ports/eventLog.ts"
import type { ControlRecord } from "../../core/record.ts"
import type { BerthClient, TaskEvent } from "../../gateway/client/index.ts"
import {
  allReady,
  type ClusterNode,
  ClusterProcesses,
  marking,
  marksOf,
  readinessOf,
} from "../support/clusterProcesses.ts"
import { openPorts } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"

/** All that is written on `control` from now on, before anybody trims it. */
const followControl = async (url: string) => {
  const facts: ControlRecord["fact"][] = []
  let begin = (): void => {}
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const following = Effect.gen(function* () {
    const ports = yield* openPorts({ servers: [url], cluster: "main", manages: false })
    const log = Context.get(ports, EventLog)
    const head = yield* log.head
    begin()
    yield* Stream.runForEach(log.feed(head), (entries) =>
      Effect.sync(() => {
        for (const { record } of entries) if (record.kind === "control") facts.push(record.fact)
      }),
    )
  })
  const fiber = Effect.runFork(Effect.scoped(following))
  await begun
  return { facts, stop: () => Effect.runPromise(Fiber.interrupt(fiber)) }
}

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
    let term = facts[0]?.term ?? 0
    for (const fact of facts) {
      if (fact.type === "termBegan") term = fact.term
      else expect(fact.term).toBe(term)
    }
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
      expect(await readinessOf(node)).toMatchObject({ status: "not ready", trouble: "the log does not answer" })
      expect((await fetch(`${node.at.url}/health`)).status).toBe(200)
    }
    cluster.broker.start()
    await cluster.broker.ready()
    await allReady(cluster.nodes)
    const words = wordsOf("back", 10)
    const outcomes = await ended(client, words)
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => "completed"))
    for (const word of words) expect([word, marksOf(marks).get(word)]).toEqual([word, 1])
  })
})
