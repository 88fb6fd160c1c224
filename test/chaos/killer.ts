/** Kills what a cluster is made of, one at a time or all at once, and starts it again. */
import { setTimeout as sleep } from "node:timers/promises"
import type { ClusterNode, ClusterProcesses, NodeChoice } from "../support/clusterProcesses.ts"
import type { Seeded } from "../support/seeded.ts"

export const VICTIMS = ["worker", "worker", "gateway", "leader", "leader", "broker", "everything"] as const
const ROLLED = ["worker", "gateway", "leader", "worker"] as const
export type Victim = (typeof VICTIMS)[number]

export interface KillerOptions {
  readonly cluster: ClusterProcesses
  readonly random: Seeded
  readonly kills: number
  readonly choice: NodeChoice
  readonly pauseMsMax: number
  readonly downMsMax: number
  /** SIGTERM: nodes are told to stop, one after another, as in an upgrade; the broker is left alone. */
  readonly signal: "SIGKILL" | "SIGTERM"
  readonly note: (text: string) => void
}

/** How often each was killed: all the planned kills have happened when it returns. */
export async function kill(options: KillerOptions): Promise<Readonly<Record<string, number>>> {
  const { choice, cluster, downMsMax, kills, note, pauseMsMax, random, signal } = options
  const counts: Record<string, number> = {}

  const down = () => sleep(random.whole(0, downMsMax))
  const again = (node: ClusterNode) => cluster.start(node.name, node.roles, choice)
  const killNode = async (role: Victim): Promise<void> => {
    const candidates = cluster.nodes.filter(({ roles }) => roles === role)
    // Of leaders the one that leads, usually: the other does nothing that could go wrong.
    const leading = role === "leader" && random.whole(0, 2) > 0 ? await cluster.leader(null, 30_000) : null
    const node = leading ?? random.pick(candidates)
    await node.end(signal)
    await down()
    await again(node)
  }
  const killBroker = async (): Promise<void> => {
    await cluster.broker.stop("SIGKILL")
    await down()
    cluster.broker.start()
    await cluster.broker.ready()
  }
  const killEverything = async (): Promise<void> => {
    const { nodes } = cluster
    await Promise.all([...nodes.map((node) => node.end("SIGKILL")), cluster.broker.stop("SIGKILL")])
    await down()
    cluster.broker.start()
    await cluster.broker.ready()
    await Promise.all(nodes.map(again))
  }
  const victims = signal === "SIGKILL" ? VICTIMS : ROLLED
  const order: readonly Victim[] = Array.from({ length: kills }, (_, n) =>
    // Each kind once before chance decides.
    n < victims.length ? (victims[n] as Victim) : random.pick(victims),
  )
  for (const victim of order) {
    await sleep(random.whole(pauseMsMax / 4, pauseMsMax))
    note(`${signal} ${victim}`)
    if (victim === "broker") await killBroker()
    else if (victim === "everything") await killEverything()
    else await killNode(victim)
    counts[victim] = (counts[victim] ?? 0) + 1
  }
  return counts
}
