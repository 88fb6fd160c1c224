/**
 * A cluster under load of several owners, each at its limit, while its leader is killed, stands still, or is cut off from the
 * broker. What ran at once is taken from the programs' own marks, who decided from what stands on `control`.
 */
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { BerthClient } from "../../gateway/client/index.ts"
import type { FoundNats } from "../../gateway/provision/nats.ts"
import { allReady, type ClusterNode, ClusterProcesses, type NodeChoice, readinessOf } from "./clusterProcesses.ts"
import { followControl, lateFacts } from "./controlFacts.ts"
import { spanning, type Spans, spansOf } from "./ownerMarks.ts"
import type { Seeded } from "./seeded.ts"
import { openStallingProxy, type StallingProxy } from "./stallingProxy.ts"

export const OWNER_SLOTS = 3
const OWNERS = ["ann", "bob", "cid"] as const
/** More than all owners together may hold, so that nothing but their limits keeps tasks back. */
const WORKER_SLOTS = 6
/** Of one owner, in the hands of the cluster at any time. */
const TASKS_AT_ONCE = 3 * OWNER_SLOTS
const RUN_MS_MAX = 300
const QUIET_MS_MAX = 1_000
const SILENT_LEASES = 3
const LOOK_MS = 50

export interface TroublePlan {
  readonly random: Seeded
  readonly kills: number
  readonly stops: number
  readonly cuts: number
  readonly leaderLeaseMs: number
  readonly note: (text: string) => void
}

export interface TroubleReport {
  readonly spans: Spans
  readonly completed: number
  /** Status of every task that did not complete. */
  readonly failures: readonly string[]
  readonly terms: number
  /** Facts of an old leader behind the beginning of a newer one's term. */
  readonly late: readonly unknown[]
  readonly slotsHeld: number
  /** From the moment that the leader was troubled to the moment that another led. */
  readonly nextLedMs: Readonly<Record<Trouble, readonly number[]>>
}

type Trouble = "kill" | "stop" | "cut"

/** Runs tasks of one owner, `TASKS_AT_ONCE` at a time, until it is over. */
async function keepBusy(
  client: BerthClient,
  owner: string,
  marks: string,
  { random }: Pick<TroublePlan, "random">,
  isOver: () => boolean,
): Promise<readonly string[]> {
  const ended: string[] = []
  let asked = 0
  const lane = async (): Promise<void> => {
    while (!isOver()) {
      asked += 1
      const { status } = await client.run(spanning(marks, owner, `${owner}-${asked}`, random.whole(20, RUN_MS_MAX)))
      ended.push(status)
    }
  }
  await Promise.all(Array.from({ length: TASKS_AT_ONCE }, lane))
  return ended
}

export async function troubleLeaders(server: FoundNats, plan: TroublePlan): Promise<TroubleReport> {
  const { cuts, kills, leaderLeaseMs, note, random, stops } = plan
  const cluster = await ClusterProcesses.open(server)
  const wires = new Map<string, StallingProxy>()
  const env = { BERTH_LEADER_LEASE_MS: String(leaderLeaseMs), BERTH_OWNER_SLOTS_MAX: String(OWNER_SLOTS) }
  const startLeader = (name: string): Promise<ClusterNode> =>
    cluster.start(name, "leader", { env, wirePort: wires.get(name)?.port ?? 0 })
  try {
    for (const name of ["l1", "l2"]) wires.set(name, await openStallingProxy(cluster.broker.place.port))
    const rest: NodeChoice = { env, slots: WORKER_SLOTS }
    await Promise.all([...wires.keys()].map(startLeader))
    const gateway = await cluster.start("g1", "gateway", rest)
    await Promise.all(["w1", "w2"].map((name) => cluster.start(name, "worker", rest)))
    await allReady(cluster.nodes)
    const control = await followControl(cluster.broker.url)
    const marks = join(cluster.folder, "marks")
    let isOver = false
    const busy = OWNERS.map(async (owner) =>
      keepBusy(await cluster.clientOf(owner, gateway), owner, marks, plan, () => isOver),
    )

    /** Nobody hears of the leader for three leases; then it goes on where it was. */
    const silence = async (hold: (isSilent: boolean) => void): Promise<void> => {
      hold(true)
      await sleep(SILENT_LEASES * leaderLeaseMs)
      hold(false)
    }
    const stepDown = async (leader: ClusterNode): Promise<void> => {
      while ((await readinessOf(leader))?.status !== "ready") await sleep(LOOK_MS)
      while ((await readinessOf(leader))?.leader !== false) await sleep(LOOK_MS)
    }
    const act: Record<Trouble, (leader: ClusterNode) => Promise<void>> = {
      kill: async (leader) => void (await leader.end("SIGKILL")),
      stop: (leader) => silence((isSilent) => leader.signal(isSilent ? "SIGSTOP" : "SIGCONT")),
      cut: (leader) => silence((isSilent) => wires.get(leader.name)?.hold(isSilent)),
    }
    const nextLedMs: Record<Trouble, number[]> = { kill: [], stop: [], cut: [] }
    const trouble = async (how: Trouble): Promise<void> => {
      await sleep(random.whole(QUIET_MS_MAX / 4, QUIET_MS_MAX))
      const leader = await cluster.leader()
      const beganMonoMs = performance.now()
      const [, tookMs] = await Promise.all([
        act[how](leader),
        cluster.leader(leader).then(() => performance.now() - beganMonoMs),
      ])
      nextLedMs[how].push(tookMs)
      note(`${how} of ${leader.name}: another led after ${Math.round(tookMs)} ms`)
      if (how === "kill") await allReady([await startLeader(leader.name)])
      else await stepDown(leader)
    }
    const order: readonly Trouble[] = [
      ...Array.from({ length: kills }, () => "kill" as const),
      ...Array.from({ length: stops }, () => "stop" as const),
      ...Array.from({ length: cuts }, () => "cut" as const),
    ]
    for (const how of random.shuffle(order)) await trouble(how)
    isOver = true
    const ended = (await Promise.all(busy)).flat()
    const { slotsHeld } = await (await cluster.client(gateway)).queue()
    await control.stop()
    return {
      spans: spansOf(marks),
      completed: ended.filter((status) => status === "completed").length,
      failures: ended.filter((status) => status !== "completed"),
      terms: control.facts.filter(({ type }) => type === "termBegan").length,
      late: lateFacts(control.facts),
      slotsHeld,
      nextLedMs,
    }
  } catch (error) {
    process.stdout.write(`${cluster.logs()}\n`)
    throw error
  } finally {
    // A process that stands still dies of SIGKILL too.
    await cluster.close()
    for (const wire of wires.values()) await wire.close()
  }
}
