/** The shipped cluster for real, less the containers: nats.conf on three servers, and nodes as compose.yaml starts them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { get } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { parse } from "yaml"
import { type BerthClient, connect } from "../../gateway/client/index.ts"
import type { BrokerPlace } from "../support/broker.ts"
import { NatsRig } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"
import { launchServer, type Ready, type ServerProcess } from "../support/serverProcess.ts"

const ROOT = join(import.meta.dirname, "../..")
const { services } = parse(readFileSync(join(ROOT, "compose.yaml"), "utf8"), { merge: true }) as {
  readonly services: Readonly<Record<string, { command: string[]; environment: Record<string, string> }>>
}
const PASSWORDS = {
  NATS_ROUTE_PASSWORD: "r0ute",
  NATS_GATEWAY_PASSWORD: "g8",
  NATS_W1_PASSWORD: "w1x",
  NATS_W2_PASSWORD: "w2x",
}
const TASKS = 12

/** On one machine the three listen on ports of their own, and keep their data in folders of their own. */
const config = ({ dir, monitorPort, port, routePort }: BrokerPlace): string =>
  readFileSync(join(ROOT, "nats.conf"), "utf8")
    .replace("port: 4222", `host: "127.0.0.1", port: ${port}`)
    .replace("http: 8222", `http: "127.0.0.1:${monitorPort}"`)
    .replace("port: 6222", `host: "127.0.0.1", port: ${routePort}`)
    .replace('"/data"', `"${join(dir, "store")}"`)
const env = ({ name }: BrokerPlace, peers: readonly BrokerPlace[]): Readonly<Record<string, string>> => ({
  ...PASSWORDS,
  NATS_NAME: name,
  NATS_STORE: "1G",
  ...Object.fromEntries(
    peers.map(({ routePort }, at) => [`NATS_ROUTE_${at + 1}`, `nats://route:r0ute@127.0.0.1:${routePort}`]),
  ),
})

/** How a node's metrics are answered to who asks for it by this name, as a scraper in its network does. */
const scraped = (url: string, host: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    get(new URL("/metrics", url.replace(/^ws/, "http")), { headers: { host: `${host}:7411` } }, (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    }).on("error", reject)
  })

describeWithNats("the cluster of compose.yaml", "newest", (server) => {
  const rig = new NatsRig(server, { nodes: 3, config, env })
  const folder = mkdtempSync(join(tmpdir(), "berth-compose-"))
  const running: ServerProcess[] = []
  const clients: BerthClient[] = []
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.close()))
    await Promise.all(running.map((node) => node.end("SIGTERM")))
    rmSync(folder, { recursive: true, force: true })
  })

  /** A node with the command and the environment of its service, on this machine. */
  const launch = (name: string): ServerProcess => {
    const { command, environment } = services[name] ?? { command: [], environment: {} }
    const flags = command.slice(1).join(" ").replace("--bind 0.0.0.0 ", "")
    const own = flags.replace("--data /data ", "").replace("/run/secrets/tokens", join(folder, "tokens"))
    const broker = (environment["BERTH_NATS"] ?? "")
      .replace(/\$\{(\w+):\?\}/g, (_, variable: keyof typeof PASSWORDS) => PASSWORDS[variable])
      .replace(/n([123]):4222/g, (_, at: string) => new URL(rig.servers[Number(at) - 1] ?? "").host)
    const node = launchServer({
      dataDir: join(folder, name),
      executor: "process",
      flags: own.split(" "),
      env: {
        BERTH_NATS: broker,
        BERTH_NATS_MONITOR: rig.monitors.join(","),
        BERTH_HOSTS: environment["BERTH_HOSTS"] ?? "",
      },
    })
    running.push(node)
    return node
  }

  it("comes up in whatever order, keeps to its permissions, and runs tasks on both workers for clients of both gateways", async () => {
    writeFileSync(join(folder, "tokens"), Buffer.alloc(48, 9).toString("base64url"))
    const nodes = ["w1", "g2", "w2", "g1"].map((name) => ({ name, node: launch(name) }))
    const ready: Record<string, Ready> = {}
    for (const { name, node } of nodes) {
      const at = await node.ready
      if (at === null) throw new Error(`${name} ended:\n${node.log()}`)
      ready[name] = at
    }
    for (const { name } of nodes) {
      expect(await scraped(ready[name]?.url ?? "", name), name).toBe(200)
      expect(await scraped(ready[name]?.url ?? "", "elsewhere"), name).toBe(403)
    }
    const token = ready["g1"]?.token ?? ""
    for (const name of ["g1", "g2"]) clients.push(await connect(ready[name]?.url ?? "", { token, deadlineMs: 60_000 }))
    const outcomes = await Promise.all(
      Array.from({ length: TASKS }, async (_, n) => {
        const client = clients[n % 2] as BerthClient
        const code = `import time; time.sleep(0.2); print(${n})`
        const task = await client.submit({ runtime: "python", code })
        return (await task.result()).status
      }),
    )
    expect(new Set(outcomes)).toEqual(new Set(["completed"]))
    expect(await clients[0]?.system()).toMatchObject({ store: "jetstream", durability: "fsynced", ready: true })
    const stats = await clients[1]?.queue()
    expect(stats?.workers.map(({ worker }) => worker.split(".")[0]).sort()).toEqual(["w1", "w2"])
    const gone = await clients[0]?.submit({ runtime: "python", code: "print(1)" })
    await gone?.result()
    await gone?.delete()
    for (const { name, node } of nodes) expect(node.log(), name).not.toMatch(/[Pp]ermissions [Vv]iolation/)
  })
})
