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
import { CONTAINERS, orderOf, programOf } from "./orders.ts"
import { markedSigns } from "./starts.ts"

export interface ChaosPlan {
  readonly random: Seeded
  readonly tasks: number
  readonly kills: number
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
  readonly seconds: number
}

const SLOTS = 16
const CONTAINER_SLOTS = 4

async function startNodes(cluster: ClusterProcesses, engine: FoundEngine | null): Promise<readonly ClusterNode[]> {
  const main = join(import.meta.dirname, "handlerNode.mjs")
  const flags = ["--pool", CONTAINERS]
  const nodes: readonly (readonly [name: string, roles: string, choice?: NodeChoice])[] = [
    ["l1", "leader"],
    ["l2", "leader"],
    ["g1", "gateway"],
    ["g2", "gateway"],
    ["w1", "worker", { slots: SLOTS, main }],
    ["w2", "worker", { slots: SLOTS, main }],
  ]
  const containing: NodeChoice = { slots: CONTAINER_SLOTS, executor: "docker", engine: engine?.host ?? "", flags }
  const all =
    engine === null ? nodes : [...nodes, ["c1", "worker", containing] as const, ["c2", "worker", containing] as const]
  await Promise.all(all.map(([name, roles, choice]) => cluster.start(name, roles, choice)))
  await allReady(cluster.nodes)
  return cluster.nodes.filter(({ roles }) => roles === "gateway")
}

const secondsSince = (monoMs: number): number => Math.round((performance.now() - monoMs) / 1_000)

export async function chaos(server: FoundNats, plan: ChaosPlan): Promise<ChaosReport> {
  const beganMonoMs = performance.now()
  const { engine, note, random } = plan
  const cluster = await ClusterProcesses.open(server, { brokers: plan.brokers })
  const book = await openEngineBook(engine, cluster.folder)
  let clusterId: string | null = null
  try {
    const gateways = await startNodes(cluster, engine)
    const clients = await Promise.all([gateways, gateways.toReversed()].map((urls) => cluster.client(...urls)))
    const [, other] = clients
    if (other === undefined) throw new Error("there are two clients")
    clusterId = (await other.system()).clusterId
    const marks = join(cluster.folder, "marks")
    const containerEvery = engine === null ? null : plan.containerEvery
    let isKilling = true
    const loadBeganMonoMs = performance.now()
    const loaded = load({
      ...plan,
      clients,
      // Who is told to stop leaves programs to a successor; handlers, and what is just being fed, begin again.
      orderOf: (number) =>
        plan.signal === "SIGTERM"
          ? programOf({ random, marks }, number)
          : orderOf({ random, marks, containerEvery }, number),
      goesOn: () => isKilling,
    })
    const killed = kill({ ...plan, cluster }).finally(() => {
      isKilling = false
    })
    const [books, { faults, kills, processes }] = await Promise.all([loaded, killed])
    const loadSeconds = secondsSince(loadBeganMonoMs)
    await allReady(cluster.nodes)
    note(`${books.acknowledged} were accepted and are at rest after ${loadSeconds} s; the books are compared`)
    const verdict = await check(other, books.watched, { marks: markedSigns(marks), engine: book.signs(clusterId) })
    const left = await book.left(clusterId)
    const { slotsHeld } = await other.queue()
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
      loadSeconds,
      seconds: secondsSince(beganMonoMs),
    }
  } catch (error) {
    process.stdout.write(`${cluster.logs()}\n`)
    throw error
  } finally {
    // Its file lies in the folder that goes, and the engine tells of other clusters, too.
    await book.stop()
    await cluster.close()
    if (clusterId !== null) await book.clean(clusterId)
  }
}
