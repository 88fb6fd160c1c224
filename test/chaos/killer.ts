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
type Victim = (typeof KINDS)[number]

export interface KillerOptions {
  readonly cluster: ClusterProcesses
  readonly random: Seeded
  readonly kills: number
  readonly pauseMsMax: number
  readonly downMsMax: number
  /** SIGTERM: all are told to stop and started again, one after another, as in an upgrade; a broker only where there are three. */
  readonly signal: "SIGKILL" | "SIGTERM"
  readonly note: (text: string) => void
  /** False: it would come too early. */
  readonly mayKill: () => boolean
  /** One more kill has happened, and what was killed serves again. */
  readonly done: () => void
}

export interface KillReport {
  /** How often each kind, or each that has a name of its own, was killed: all the planned kills, when it is told. */
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

/** Somebody is killed and started again. */
interface Deed {
  readonly what: string
  readonly happens: () => Promise<void>
}

/** Each once, in an order that chance decides; then all of them again. */
function orderOf(deeds: readonly Deed[], kills: number, random: Seeded): readonly Deed[] {
  const order: Deed[] = []
  while (order.length < kills) order.push(...random.shuffle(deeds))
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
    await broker.stop(signal)
  }
  const brokersAgain = async (brokers: readonly Broker[]): Promise<void> => {
    for (const broker of brokers) broker.start()
    await Promise.all(brokers.map((broker) => broker.ready()))
  }
  const killNode = async (node: ClusterNode): Promise<void> => {
    await endNode(node)
    await down()
    await cluster.again(node)
  }
  /** As it runs now: another process after each start. */
  const named = (name: string) => cluster.nodes.find((node) => node.name === name) as ClusterNode
  const oneOf = async (victim: Victim): Promise<ClusterNode> => {
    // Of leaders the one that leads, usually: the other does nothing that could go wrong.
    const leading = victim === "leader" && random.whole(0, 2) > 0 ? await cluster.leader() : null
    return leading ?? random.pick(cluster.nodes.filter((candidate) => isMeant(victim, candidate)))
  }
  const killBroker = async (broker: Broker): Promise<void> => {
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
  const byChance = (): readonly Deed[] => {
    const kinds = (cluster.brokers.length > 1 ? KINDS_OF_THREE : KINDS).filter(
      (kind) => kind !== "container" || cluster.nodes.some((node) => isMeant(kind, node)),
    )
    const deeds: Readonly<Record<Victim, () => Promise<void>>> = {
      broker: () => killBroker(random.pick(cluster.brokers)),
      everything: killEverything,
      worker: async () => killNode(await oneOf("worker")),
      container: async () => killNode(await oneOf("container")),
      gateway: async () => killNode(await oneOf("gateway")),
      leader: async () => killNode(await oneOf("leader")),
    }
    return kinds.map((kind) => ({ what: kind, happens: deeds[kind] }))
  }
  /** The one broker that there is, nobody can do without. */
  const inTurn = (): readonly Deed[] => [
    ...cluster.nodes.map(({ name }) => ({ what: name, happens: () => killNode(named(name)) })),
    ...(cluster.brokers.length > 1 ? cluster.brokers : []).map((broker) => ({
      what: broker.place.name,
      happens: () => killBroker(broker),
    })),
  ]
  for (const { happens, what } of orderOf(signal === "SIGKILL" ? byChance() : inTurn(), options.kills, random)) {
    await sleep(random.whole(pauseMsMax / 4, pauseMsMax))
    while (!mayKill()) await sleep(LOOK_MS)
    const beganMonoMs = performance.now()
    await happens()
    kills[what] = (kills[what] ?? 0) + 1
    note(`${signal} ${what}: serves again after ${Math.round((performance.now() - beganMonoMs) / 100) / 10} s`)
    options.done()
  }
  return { kills, processes, faults }
}
