/**
 * Kills what a cluster is made of, one at a time or all at once, and starts it again.
 *
 *   KI1. A kill has happened when the system says of the process that this signal ended it. One that had ended before, by
 *        itself, is a fault.
 *   KI2. The next comes when what was killed serves again, and at most a pause later: in the midst of what it has to repair;
 *        unless it came too early for those who have a say.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Broker } from "../support/broker.ts"
import type { ClusterNode, ClusterProcesses } from "../support/clusterProcesses.ts"
import type { Seeded } from "../support/seeded.ts"
import { CONTAINERS } from "./orders.ts"

/** `container`: a worker whose programs run on an engine. `broker`: the only one, or one of three. */
const KINDS = ["worker", "container", "gateway", "leader", "leader", "broker", "everything"] as const
const KINDS_OF_THREE = ["worker", "container", "gateway", "leader", "broker", "broker", "everything"] as const
const ROLLED_KINDS = ["worker", "container", "gateway", "leader", "worker"] as const
type Victim = (typeof KINDS)[number]

export interface KillerOptions {
  readonly cluster: ClusterProcesses
  readonly random: Seeded
  readonly kills: number
  readonly pauseMsMax: number
  readonly downMsMax: number
  /** SIGTERM: nodes are told to stop, one after another, as in an upgrade; the broker is left alone. */
  readonly signal: "SIGKILL" | "SIGTERM"
  readonly note: (text: string) => void
  /** False: it would come too early. */
  readonly mayKill: () => boolean
  /** One more kill has happened, and what was killed serves again. */
  readonly done: () => void
}

export interface KillReport {
  /** How often each kind was killed: all the planned kills, when it is told. */
  readonly kills: Readonly<Record<string, number>>
  /** Processes that were ended by it. */
  readonly processes: number
  readonly faults: readonly string[]
}

const LOG_CHARS = 2_000
const LOOK_MS = 100

const isMeant = (victim: Victim, { choice, roles }: ClusterNode): boolean => {
  const isContainer = choice.flags?.includes(CONTAINERS) === true
  return victim === "container" ? isContainer : roles === victim && !isContainer
}

/** Each kind once, in an order that chance decides; then all of them again. */
function orderOf(kinds: readonly Victim[], kills: number, random: Seeded): readonly Victim[] {
  const order: Victim[] = []
  while (order.length < kills) order.push(...random.shuffle(kinds))
  return order.slice(0, kills)
}

export async function kill(options: KillerOptions): Promise<KillReport> {
  const { cluster, downMsMax, mayKill, note, pauseMsMax, random, signal } = options
  const kills: Record<string, number> = {}
  const faults: string[] = []
  let processes = 0

  const down = () => sleep(random.whole(0, downMsMax))
  const endNode = async (node: ClusterNode): Promise<void> => {
    const wasAlive = node.isAlive()
    const ended = await node.end(signal)
    const isAsPlanned = wasAlive && (signal === "SIGKILL" ? ended.signal === signal : ended.code === 0)
    if (isAsPlanned) processes += 1
    else faults.push(`${node.name} ended with ${JSON.stringify(ended)}:\n${node.log().slice(-LOG_CHARS)}`)
  }
  const endBroker = async (broker: Broker): Promise<void> => {
    if (broker.isRunning) processes += 1
    else faults.push(`broker ${broker.place.name} had ended by itself`)
    await broker.stop("SIGKILL")
  }
  const brokersAgain = async (brokers: readonly Broker[]): Promise<void> => {
    for (const broker of brokers) broker.start()
    await Promise.all(brokers.map((broker) => broker.ready()))
  }
  const killNode = async (victim: Victim): Promise<void> => {
    // Of leaders the one that leads, usually: the other does nothing that could go wrong.
    const leading = victim === "leader" && random.whole(0, 2) > 0 ? await cluster.leader() : null
    const node = leading ?? random.pick(cluster.nodes.filter((candidate) => isMeant(victim, candidate)))
    await endNode(node)
    await down()
    await cluster.again(node)
  }
  const killBroker = async (): Promise<void> => {
    const broker = random.pick(cluster.brokers)
    await endBroker(broker)
    await down()
    await brokersAgain([broker])
  }
  const killEverything = async (): Promise<void> => {
    const { brokers, nodes } = cluster
    await Promise.all([...nodes.map(endNode), ...brokers.map(endBroker)])
    await down()
    await brokersAgain(brokers)
    await Promise.all(nodes.map((node) => cluster.again(node)))
  }
  const killed = cluster.brokers.length > 1 ? KINDS_OF_THREE : KINDS
  const kinds = (signal === "SIGKILL" ? killed : ROLLED_KINDS).filter(
    (kind) => kind !== "container" || cluster.nodes.some((node) => isMeant(kind, node)),
  )
  for (const victim of orderOf(kinds, options.kills, random)) {
    await sleep(random.whole(pauseMsMax / 4, pauseMsMax))
    while (!mayKill()) await sleep(LOOK_MS)
    const beganMonoMs = performance.now()
    if (victim === "broker") await killBroker()
    else if (victim === "everything") await killEverything()
    else await killNode(victim)
    kills[victim] = (kills[victim] ?? 0) + 1
    note(`${signal} ${victim}: serves again after ${Math.round((performance.now() - beganMonoMs) / 100) / 10} s`)
    options.done()
  }
  return { kills, processes, faults }
}
