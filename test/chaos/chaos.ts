/** A cluster under load while all that it is made of is killed at random; then the books are compared. */
import { join } from "node:path"
import type { FoundNats } from "../../gateway/provision/nats.ts"
import { allReady, ClusterProcesses, marksOf } from "../support/clusterProcesses.ts"
import type { Seeded } from "../support/seeded.ts"
import { check, type Verdict } from "./checker.ts"
import { kill } from "./killer.ts"
import { load, type LoadReport } from "./load.ts"

export interface ChaosPlan {
  readonly random: Seeded
  readonly tasks: number
  readonly kills: number
  readonly lanes: number
  readonly pauseMsMax: number
  readonly downMsMax: number
  readonly signal: "SIGKILL" | "SIGTERM"
  readonly note: (text: string) => void
}

export interface ChaosReport extends Verdict {
  readonly seed: number
  readonly kills: Readonly<Record<string, number>>
  readonly acknowledged: number
  readonly calls: number
  readonly refusals: LoadReport["refusals"]
  readonly slotsHeld: number
  readonly seconds: number
}

const CHOICE = { slots: 8, executor: "process" } as const

export async function chaos(server: FoundNats, plan: ChaosPlan): Promise<ChaosReport> {
  const beganMs = performance.now()
  const cluster = await ClusterProcesses.open(server)
  try {
    await Promise.all(["l1", "l2"].map((name) => cluster.start(name, "leader", CHOICE)))
    const gateways = await Promise.all(["g1", "g2"].map((name) => cluster.start(name, "gateway", CHOICE)))
    await Promise.all(["w1", "w2"].map((name) => cluster.start(name, "worker", CHOICE)))
    await allReady(cluster.nodes)
    const clients = await Promise.all([gateways, gateways.toReversed()].map((urls) => cluster.client(...urls)))
    const marks = join(cluster.folder, "marks")
    let isKilling = true
    const loaded = load({ ...plan, clients, marks, goesOn: () => isKilling })
    const killed = kill({ ...plan, cluster, choice: CHOICE }).finally(() => {
      isKilling = false
    })
    const [books, kills] = await Promise.all([loaded, killed])
    await allReady(cluster.nodes)
    plan.note(`${books.acknowledged} were accepted and are at rest; the books are compared`)
    const [, other] = clients
    if (other === undefined) throw new Error("there are two clients")
    const verdict = await check(other, books.watched, marksOf(marks))
    const { slotsHeld } = await other.queue()
    return {
      seed: plan.random.seed,
      kills,
      acknowledged: books.acknowledged,
      calls: books.calls,
      refusals: books.refusals,
      ...verdict,
      violations: [...books.faults, ...verdict.violations],
      slotsHeld,
      seconds: Math.round((performance.now() - beganMs) / 1_000),
    }
  } catch (error) {
    process.stdout.write(`${cluster.logs()}\n`)
    throw error
  } finally {
    await cluster.close()
  }
}
