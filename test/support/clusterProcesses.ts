/** A cluster of real processes on one machine: one broker or three, and nodes that a drill starts, kills and starts again. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { type BerthClient, type ConnectOptions, connect } from "../../gateway/client/index.ts"
import type { FoundNats } from "../../gateway/provision/nats.ts"
import { mintToken, SECRET_FILE, secretOf } from "../../gateway/server/secret.ts"
import { type Broker, type BrokerSettings, startBrokers } from "./broker.ts"
import { launchServer, type Ready, type ServerChoice, type ServerProcess, startServer } from "./serverProcess.ts"

const LOOK_MS = 20
const TOKEN_LIFE_MS = 3_600_000

export interface ClusterNode extends ServerProcess {
  readonly name: string
  readonly at: Ready
  readonly roles: string
  readonly choice: NodeChoice
}

/** What /ready says. */
export interface Readiness {
  readonly status: "ready" | "not ready"
  readonly trouble: string | null
  readonly leader: boolean
  readonly headSeq: number
  readonly checkpointSeq: number
}

/** How a node is started; by default it runs programs as processes, 4 at once. */
export interface NodeChoice extends Omit<ServerChoice, "dataDir" | "port"> {
  /** Port of what lies between the node and the broker. Default: nothing does. */
  readonly wirePort?: number
}

export interface ClusterWish extends BrokerSettings {
  /** Default 1; three keep three copies of everything. */
  readonly brokers?: 1 | 3
}

export class ClusterProcesses {
  readonly folder: string
  readonly brokers: readonly Broker[]
  readonly #nodes = new Map<string, ClusterNode>()
  readonly #clients: BerthClient[] = []

  private constructor(folder: string, brokers: readonly Broker[]) {
    this.folder = folder
    this.brokers = brokers
  }

  static async open(server: FoundNats, { brokers = 1, ...settings }: ClusterWish = {}): Promise<ClusterProcesses> {
    const folder = mkdtempSync(join(tmpdir(), "berth-cluster-"))
    return new ClusterProcesses(folder, await startBrokers(server, folder, brokers, settings))
  }

  /** The first broker; the only one, unless three were asked for. */
  get broker(): Broker {
    return this.brokers[0] as Broker
  }

  get nodes(): readonly ClusterNode[] {
    return [...this.#nodes.values()]
  }

  /** Starts a node, on the port and the data directory that one of this name had before. */
  async start(name: string, roles: string, choice: NodeChoice = {}): Promise<ClusterNode> {
    const server = await startServer(this.#choiceOf(name, roles, choice))
    const node: ClusterNode = { ...server, name, roles, choice }
    this.#nodes.set(name, node)
    return node
  }

  /** Starts a node that may end before it is ready, and that nobody counts on. */
  launch(name: string, roles: string, choice: NodeChoice = {}): ServerProcess {
    return launchServer(this.#choiceOf(name, roles, choice))
  }

  #choiceOf(name: string, roles: string, { wirePort, ...choice }: NodeChoice): ServerChoice {
    const before = this.#nodes.get(name)
    const urls = wirePort === undefined ? this.brokers.map(({ url }) => url) : [`nats://127.0.0.1:${wirePort}`]
    const monitors = this.brokers.map(({ monitor }) => monitor)
    // Who makes the streams says how many copies; the others find out.
    const makes = roles.split(",").includes("leader")
    const replicas = makes && this.brokers.length > 1 ? ["--replicas", String(this.brokers.length)] : []
    const cluster = ["--nats", urls.join(), "--nats-monitor", monitors.join(), "--role", roles, ...replicas]
    return {
      executor: "process",
      slots: 4,
      ...choice,
      dataDir: join(this.folder, name),
      port: before === undefined ? 0 : Number(new URL(before.at.url).port),
      flags: [...cluster, ...(choice.flags ?? [])],
    }
  }

  /** Starts a node that has ended as it was started before. */
  again({ choice, name, roles }: ClusterNode): Promise<ClusterNode> {
    return this.start(name, roles, choice)
  }

  /** A client that knows all these gateways. */
  client(...gateways: readonly ClusterNode[]): Promise<BerthClient> {
    return this.clientWith({ token: gateways[0]?.at.token ?? "" }, ...gateways)
  }

  /** One of an owner of its own. */
  async clientOf(owner: string, ...gateways: readonly ClusterNode[]): Promise<BerthClient> {
    const path = join(gateways[0]?.at.dataDir ?? "", SECRET_FILE)
    const secret = secretOf(readFileSync(path, "utf8"), path)
    const token = await mintToken(secret, { owner, role: "user", laneMax: "high" }, Date.now(), TOKEN_LIFE_MS)
    return this.clientWith({ token }, ...gateways)
  }

  async clientWith(
    options: Pick<ConnectOptions, "token" | "onConnection">,
    ...gateways: readonly ClusterNode[]
  ): Promise<BerthClient> {
    const urls = gateways.map(({ at }) => at.url)
    const client = await connect(urls, {
      deadlineMs: 120_000,
      outageMs: 120_000,
      waitForServerMs: 30_000,
      ...options,
    })
    this.#clients.push(client)
    return client
  }

  /** The node that leads; waits until there is one besides `not`. */
  async leader(not: ClusterNode | null = null, msMax = 60_000): Promise<ClusterNode> {
    const untilMs = performance.now() + msMax
    for (;;) {
      for (const node of this.nodes)
        if (node !== not && node.isAlive() && (await readinessOf(node))?.leader === true) return node
      if (performance.now() > untilMs) throw new Error(`nobody leads after ${msMax} ms`)
      await sleep(LOOK_MS)
    }
  }

  logs(): string {
    return this.nodes.map(({ name, log }) => `== ${name}\n${log().split("\n").slice(-25).join("\n")}`).join("\n")
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    await Promise.all(this.nodes.filter((node) => node.isAlive()).map((node) => node.end("SIGKILL")))
    await Promise.all(this.brokers.map((broker) => broker.stop("SIGKILL")))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Null: it does not answer. */
export const readinessOf = async (node: Pick<ClusterNode, "at">): Promise<Readiness | null> => {
  try {
    const answer = await fetch(`${node.at.url}/ready`, { signal: AbortSignal.timeout(2_000) })
    return (await answer.json()) as Readiness
  } catch {
    return null
  }
}

/** Waits until every node is ready. */
export async function allReady(nodes: readonly ClusterNode[]): Promise<void> {
  for (const node of nodes) while ((await readinessOf(node))?.status !== "ready") await sleep(LOOK_MS)
}

/** A program that leaves one line in a file each time it is started, and prints `lines` lines. */
export const marking = (file: string, word: string, lines = 1, everyMs = 0) => ({
  runtime: "bash",
  code: `echo "$1" >> "$2"; for i in $(seq "$3"); do echo "line $i"; [ "$4" = 0 ] || sleep "$4"; done`,
  args: [word, file, String(lines), String(everyMs / 1_000)],
  timeoutMs: 600_000,
})

/** How often each word was marked. */
export function marksOf(file: string): ReadonlyMap<string, number> {
  const marks = new Map<string, number>()
  for (const word of readFileSync(file, "utf8").split("\n").filter(Boolean)) marks.set(word, (marks.get(word) ?? 0) + 1)
  return marks
}
