/**
 * The server is killed again and again while it has its hands full, and started again on the same data directory.
 *
 *   fill ──enough runs and waits──▶ a random moment ──kill -9──▶ a random while ──start──▶ adopted ──▶ next round
 *                                                                                   after the last: all end, all is told
 */
import { setTimeout as sleep } from "node:timers/promises"
import { expect } from "vitest"
import type { BerthClient } from "../../gateway/client/index.ts"
import type { FoundEngine } from "../../gateway/provision/engine.ts"
import { containersOf, removeContainersOf, type Witness } from "./engineWitness.ts"
import type { Seeded } from "./seeded.ts"
import { clientOf, startServer } from "./serverProcess.ts"
import { adoptionsOf, faultsOf, lossesOf, tellStories } from "./story.ts"
import { Book, brief, counting, failing, type Order } from "./workload.ts"

export interface CrashPlan {
  readonly engine: FoundEngine
  readonly witness: Witness
  readonly dataDir: string
  readonly random: Seeded
  readonly rounds: number
  readonly slots: number
  /** Containers that print at the moment of the kill, at least. */
  readonly running: number
  /** Tasks that wait for a slot, for their time or for a retry at the moment of the kill, at least. */
  readonly waiting: number
  readonly lines: { readonly min: number; readonly max: number; readonly everyMs: number }
  /** Longest delay of a task that waits for its time; retries wait for up to half of it. Default 40 s. */
  readonly delayMsMax?: number
  readonly note: (text: string) => void
}

export interface CrashReport {
  readonly tasks: number
  /** Containers that ran when their server was killed, over all rounds. */
  readonly leftRunning: number
  readonly adoptions: number
  /** Attempts that were given back because nothing of their program had run. */
  readonly losses: number
  readonly endedWhileDown: number
  readonly starts: number
}

const POLL_MS = 100
/** Programs that count beyond those that are asked for. */
const SPARE = 8
const DELAY_MS_MAX = 40_000
const DRAIN_MS_MAX = 240_000

/** Everything that waits: most of it for a slot, some for its time, some for its next attempt. */
function waitingOrder({ delayMsMax = DELAY_MS_MAX, random }: CrashPlan, index: number): Order {
  const kind = random.whole(0, 9)
  if (kind < 2) return brief(`delayed-${index}`, random.whole(1_000, delayMsMax))
  if (kind < 4) return failing(`failing-${index}`, 2, random.whole(500, delayMsMax / 2))
  return brief(`queued-${index}`)
}

const runningOf = async (engine: FoundEngine, cluster: string): Promise<number> =>
  (await containersOf(engine, cluster)).filter(({ state }) => state === "running").length

class Filler {
  readonly #plan: CrashPlan
  readonly #client: BerthClient
  readonly #book: Book
  #index = 0

  constructor(plan: CrashPlan, client: BerthClient, book: Book) {
    this.#plan = plan
    this.#client = client
    this.#book = book
  }

  /** Programs that count and have not ended. */
  async #counters(): Promise<number> {
    const list = this.#client.list({ statuses: ["running", "pending"], labels: { kind: "counting" }, rowsMax: 200 })
    let count = 0
    for await (const _ of list) count += 1
    return count
  }

  async #orderCounter(): Promise<void> {
    const { lines, random } = this.#plan
    const { expected, request } = counting(random.whole(lines.min, lines.max), lines.everyMs)
    await this.#book.order({ expected, request: { ...request, lane: "high" } })
  }

  /** Orders what is missing, and resolves when enough runs and enough waits at the same time. */
  async fill(cluster: string): Promise<void> {
    const { engine, running, waiting } = this.#plan
    for (;;) {
      const counters = await this.#counters()
      const { pending } = (await this.#client.queue()).byStatus
      // Some may end before the kill.
      if ((await runningOf(engine, cluster)) >= running + SPARE / 2 && pending >= waiting) return
      const more = Array.from({ length: Math.max(0, running + SPARE - counters) }, () => this.#orderCounter())
      const others = Array.from({ length: Math.max(0, waiting + 10 - pending) }, () =>
        this.#book.order(waitingOrder(this.#plan, (this.#index += 1))),
      )
      await Promise.all([...more, ...others])
      await sleep(POLL_MS)
    }
  }
}

/** @returns what came of it, after everything that was found wrong has failed the test */
export async function crashRounds(plan: CrashPlan): Promise<CrashReport> {
  const { dataDir, engine, note, random, slots, witness } = plan
  const env = { BERTH_OWNER_SLOTS_MAX: "1000" }
  let server = await startServer({ dataDir, slots, env, engine: engine.host })
  const port = Number(new URL(server.at.url).port)
  const client = await clientOf(server.at)
  const cluster = (await client.system()).clusterId
  const book = new Book(client)
  const filler = new Filler(plan, client, book)
  let leftRunning = 0
  const downs: { readonly fromMs: number; readonly toMs: number }[] = []
  try {
    for (let round = 1; round <= plan.rounds; round += 1) {
      await filler.fill(cluster)
      // Submits are under way at the moment of the kill, too.
      const storm = Array.from({ length: 8 }, (_, index) => book.order(brief(`storm-${round}-${index}`)))
      await sleep(random.whole(0, 1_500))
      await server.end("SIGKILL")
      const fromMs = Date.now()
      const left = await runningOf(engine, cluster)
      leftRunning += left
      await sleep(random.whole(200, 3_000))
      downs.push({ fromMs, toMs: Date.now() })
      server = await startServer({ dataDir, slots, port, env, engine: engine.host })
      await Promise.all(storm)
      note(`round ${round}: ${left} containers were left running, down for ${Date.now() - fromMs} ms`)
      expect(left).toBeGreaterThanOrEqual(plan.running)
    }
    await drained(client, note)
    const stories = await tellStories(client, book.accepted)
    const starts = witness.starts(cluster)
    expect(stories.flatMap((story) => faultsOf(story, starts))).toEqual([])
    expect((await client.queue()).byStatus.completed + (await client.queue()).byStatus.failed).toBe(book.asked)
    expect(await emptied(engine, cluster)).toEqual([])
    const dies = witness.seen(cluster).filter(({ action }) => action === "die")
    const isDown = (atMs: number) => downs.some(({ fromMs, toMs }) => atMs > fromMs && atMs < toMs)
    return {
      tasks: stories.length,
      leftRunning,
      adoptions: stories.reduce((sum, story) => sum + adoptionsOf(story), 0),
      losses: stories.reduce((sum, story) => sum + lossesOf(story), 0),
      endedWhileDown: dies.filter(({ atMs }) => isDown(atMs)).length,
      starts: [...starts.values()].reduce((sum, count) => sum + count, 0),
    }
  } catch (error) {
    note(server.log().split("\n").slice(-40).join("\n"))
    throw error
  } finally {
    await client.close()
    await server.end("SIGTERM")
    await removeContainersOf(engine, cluster)
  }
}

/** Waits until every task is at rest. */
export async function drained(client: BerthClient, note: (text: string) => void = () => {}): Promise<void> {
  const untilMs = Date.now() + DRAIN_MS_MAX
  for (let saidMs = 0; ; ) {
    const { byStatus } = await client.queue()
    const left = byStatus.pending + byStatus.running
    if (left === 0) return
    if (Date.now() > untilMs) throw new Error(`${left} tasks have not ended after ${DRAIN_MS_MAX} ms`)
    if (Date.now() - saidMs > 10_000) {
      saidMs = Date.now()
      note(`${left} tasks to go`)
    }
    await sleep(POLL_MS * 3)
  }
}

/** The cluster's containers that are still there when every removal has had its time. */
export async function emptied(engine: FoundEngine, cluster: string): Promise<readonly string[]> {
  let left: readonly string[] = []
  for (let look = 0; look < 100; look += 1) {
    left = (await containersOf(engine, cluster)).map(({ name, state }) => `${name} ${state}`)
    if (left.length === 0) break
    await sleep(POLL_MS)
  }
  return left
}
