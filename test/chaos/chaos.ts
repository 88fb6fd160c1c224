/** A cluster under load while all that it is made of is killed at random; then the books are compared. */
import { join } from "node:path"
import type { FoundEngine } from "../../gateway/provision/engine.ts"
import type { FoundNats } from "../../gateway/provision/nats.ts"
import { allReady, type ClusterNode, ClusterProcesses, type NodeChoice } from "../support/clusterProcesses.ts"
import type { Seeded } from "../support/seeded.ts"
import { check, type Verdict } from "./checker.ts"
import { openEngineBook } from "./engineBook.ts"
import { kill, type KillReport } from "./killer.ts"
import { load, type LoadReport } from "./load.ts"
import { readLog } from "./logBook.ts"
import { CONTAINERS, orderOf, rolledOrderOf } from "./orders.ts"
import { Pace } from "./pace.ts"
import { lookAgain, worthALook } from "./secondLook.ts"
import { markedSigns } from "./starts.ts"

export interface ChaosPlan {
  readonly random: Seeded
  readonly tasks: number
  readonly kills: number
  /** Tasks under way at once. */
  readonly lanes: number
  /** With three, each stream has three replicas, and one of them is killed at a time. */
  readonly brokers: 1 | 3
  /** Null: no containers, programs alone. */
  readonly engine: FoundEngine | null
  /** One task of so many is a container. */
  readonly containerEvery: number
  readonly pauseMsMax: number
  readonly downMsMax: number
  readonly signal: "SIGKILL" | "SIGTERM"
  readonly note: (text: string) => void
}

export interface ChaosReport extends Verdict {
  readonly seed: number
  readonly brokers: number
  readonly kills: KillReport["kills"]
  /** Processes that were ended; all of a cluster's count when it is killed as a whole. */
  readonly processesKilled: number
  readonly acknowledged: number
  readonly calls: number
  readonly shareAcknowledged: number
  readonly refusals: LoadReport["refusals"]
  readonly slotsHeld: number
  readonly loadSeconds: number
  readonly tasksPerSecond: number
  /** Reading the books and comparing them. */
  readonly checkSeconds: number
  readonly seconds: number
}

/** Lanes of one connection: of the messages that it may send in a second, two are a task's. */
const LANES_PER_CLIENT = 8
/** So many tasks to which nothing has happened are asked of the gateways afterwards. */
const PLAIN_LOOKS_MAX = 1_000
/** Connections to each gateway, for that. */
const READERS = 8
const SLOTS = 16
/** Longer than a restart takes on a machine that has other things to do. */
const ROLLED_LEASE_MS = 60_000
const CONTAINER_SLOTS = 4

async function startNodes(cluster: ClusterProcesses, { engine, signal }: ChaosPlan): Promise<readonly ClusterNode[]> {
  const isRolling = signal === "SIGTERM"
  const main = join(import.meta.dirname, "handlerNode.mjs")
  const flags = ["--pool", CONTAINERS]
  // A worker that comes back later than its lease is a lost one, however it ended.
  const env = isRolling ? { BERTH_LEASE_MS: String(ROLLED_LEASE_MS) } : {}
  const processes: NodeChoice = { slots: SLOTS, env, ...(isRolling ? {} : { main }) }
  const nodes: readonly (readonly [name: string, roles: string, choice?: NodeChoice])[] = [
    ["l1", "leader"],
    ["l2", "leader"],
    ["g1", "gateway"],
    ["g2", "gateway"],
    ["w1", "worker", processes],
    ["w2", "worker", processes],
  ]
  const containing: NodeChoice = { slots: CONTAINER_SLOTS, executor: "docker", engine: engine?.host ?? "", flags, env }
  const all =
    engine === null ? nodes : [...nodes, ["c1", "worker", containing] as const, ["c2", "worker", containing] as const]
  await Promise.all(all.map(([name, roles, choice]) => cluster.start(name, roles, choice)))
  await allReady(cluster.nodes)
  return cluster.nodes.filter(({ roles }) => roles === "gateway")
}

const secondsSince = (monoMs: number): number => Math.round((performance.now() - monoMs) / 1_000)

/** What the log has, and what each gateway shows of it. */
async function accountsOf(cluster: ClusterProcesses, gateways: readonly ClusterNode[], books: LoadReport) {
  const log = await readLog(cluster.brokers.map(({ url }) => url))
  const ids = worthALook(books.watched, log, Math.ceil(books.acknowledged / PLAIN_LOOKS_MAX))
  const look = async (gateway: ClusterNode) =>
    lookAgain(await Promise.all(Array.from({ length: READERS }, () => cluster.client(gateway))), ids)
  return { log, again: await Promise.all(gateways.map(look)) }
}

export async function chaos(server: FoundNats, plan: ChaosPlan): Promise<ChaosReport> {
  const beganMonoMs = performance.now()
  const { engine, note, random, signal } = plan
  const cluster = await ClusterProcesses.open(server, { brokers: plan.brokers })
  const book = await openEngineBook(engine, cluster.folder)
  const pace = new Pace(plan)
  let clusterId: string | null = null
  try {
    const gateways = await startNodes(cluster, plan)
    const clients = await Promise.all(
      Array.from({ length: Math.ceil(plan.lanes / LANES_PER_CLIENT) }, (_, place) =>
        cluster.client(...(place % 2 === 0 ? gateways : gateways.toReversed())),
      ),
    )
    const [client] = clients
    if (client === undefined) throw new Error("without a lane there is no load")
    clusterId = (await client.system()).clusterId
    const orders = {
      random,
      marks: join(cluster.folder, "marks"),
      containerEvery: engine === null ? null : plan.containerEvery,
    }
    const loadBeganMonoMs = performance.now()
    const loaded = load({
      ...plan,
      clients,
      orderOf: (number) => (signal === "SIGTERM" ? rolledOrderOf : orderOf)(orders, number),
      goesOn: pace.isKilling,
      lanesNow: pace.lanes,
      rested: pace.rested,
    }).finally(pace.loadIsOver)
    const killed = kill({ ...plan, cluster, mayKill: pace.mayKill, done: pace.killed })
    const [books, { faults, kills, processes }] = await Promise.all([loaded, killed])
    const loadMs = performance.now() - loadBeganMonoMs
    await allReady(cluster.nodes)
    note(`${books.acknowledged} were accepted and are at rest after ${pace.seconds} s; the books are compared`)
    const checkBeganMonoMs = performance.now()
    const verdict = check(books.watched, {
      ...(await accountsOf(cluster, gateways, books)),
      signs: { marks: markedSigns(orders.marks), engine: book.signs(clusterId) },
      runsOnce: signal === "SIGTERM",
    })
    const checkSeconds = secondsSince(checkBeganMonoMs)
    const left = await book.left(clusterId)
    const { slotsHeld } = await client.queue()
    const violations = [...books.faults, ...faults, ...verdict.violations, ...left]
    if (violations.length > 0) process.stdout.write(`${cluster.logs()}\n`)
    return {
      seed: random.seed,
      brokers: plan.brokers,
      kills,
      processesKilled: processes,
      acknowledged: books.acknowledged,
      calls: books.calls,
      shareAcknowledged: books.acknowledged / books.calls,
      refusals: books.refusals,
      ...verdict,
      violations,
      slotsHeld,
      loadSeconds: Math.round(loadMs / 1_000),
      tasksPerSecond: Math.round((10_000 * books.acknowledged) / loadMs) / 10,
      checkSeconds,
      seconds: secondsSince(beganMonoMs),
    }
  } catch (error) {
    process.stdout.write(`${cluster.logs()}\n`)
    throw error
  } finally {
    pace.stop()
    // Its file lies in the folder that goes, and the engine tells of other clusters, too.
    await book.stop()
    await cluster.close()
    if (clusterId !== null) await book.clean(clusterId)
  }
}
