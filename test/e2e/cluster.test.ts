/** The library as nodes of a cluster: the same program, its handlers, and roles in several processes' places. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { randomBytes } from "node:crypto"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, afterEach, beforeAll, expect, it } from "vitest"
import { connect } from "../../gateway/client/index.ts"
import { Berth, type BerthError, type OpenOptions } from "../../gateway/main/index.ts"
import { Broker, freePlace } from "../support/broker.ts"
import { describeWithNats } from "../support/require.ts"

describeWithNats("Berth.open({nats})", "newest", (server) => {
  let folder: string
  let broker: Broker
  const open: Berth[] = []
  let clusters = 0

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "berth-nodes-"))
    broker = new Broker(server, await freePlace("n1", folder), [])
    broker.start()
    await broker.ready()
  })
  afterEach(async () => {
    // Who was opened last is closed first, so that the leader is there to the end.
    for (const berth of open.splice(0).reverse()) await berth.close()
  })
  afterAll(async () => {
    await broker.stop("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
  })

  const newCluster = (): string => `e${++clusters}`
  const node = async (cluster: string, name: string, more: OpenOptions = {}): Promise<Berth> => {
    const berth = await Berth.open({
      nats: { servers: broker.url, cluster, monitors: [broker.monitor] },
      dataDir: join(folder, cluster, name),
      executor: "none",
      ...more,
    })
    open.push(berth)
    return berth
  }
  const doubling = { handlers: { double: (input: unknown) => Number(input) * 2 } }

  it("runs handlers on the node that has them, whoever was asked, and all see the same", async () => {
    const cluster = newCluster()
    const leader = await node(cluster, "l", { roles: ["leader"] })
    const gateway = await node(cluster, "g", { roles: ["gateway"] })
    await node(cluster, "w", { roles: ["worker"], slots: 4, ...doubling })
    const runs = await Promise.all(Array.from({ length: 20 }, (_, input) => gateway.run({ handler: "double", input })))
    expect(runs.map(({ value }) => value)).toEqual(Array.from({ length: 20 }, (_, n) => 2 * n))
    const infos = await Promise.all([leader, gateway].map((berth) => berth.client.system()))
    expect(infos.map(({ roles, leader }) => [roles, leader])).toEqual([
      [["leader"], true],
      [["gateway"], false],
    ])
    expect(infos[1]).toMatchObject({
      store: "jetstream",
      durability: "fsynced",
      leaderNode: infos[0]?.nodeId,
      ready: true,
    })
    const { id } = runs[0]!.task
    expect((await leader.get(id)).status).toBe("completed")
  })

  it("is everything in one node, and goes on where it was when it is opened again", async () => {
    const cluster = newCluster()
    const first = await node(cluster, "all", doubling)
    const { task, value } = await first.run({ handler: "double", input: 21 })
    expect(value).toBe(42)
    const { clusterId } = await first.client.system()
    await first.close()
    const second = await node(cluster, "all", doubling)
    expect((await second.get(task.id)).result?.value).toBe(42)
    expect((await second.client.system()).clusterId).toBe(clusterId)
    expect((await second.run({ handler: "double", input: 2 })).value).toBe(4)
  })

  it("a node with an empty folder has soon read what the others know", async () => {
    const cluster = newCluster()
    const first = await node(cluster, "a", doubling)
    const tasks = await Promise.all(
      Array.from({ length: 30 }, (_, input) => first.submit({ handler: "double", input })),
    )
    const other = await node(cluster, "b", { roles: ["gateway"] })
    for (const { id } of tasks) expect((await other.task(id).result()).task.status).toBe("completed")
    const listed: string[] = []
    for await (const { id } of other.client.list()) listed.push(id)
    expect(new Set(listed)).toEqual(new Set(tasks.map(({ id }) => id)))
  })

  it("every gateway takes the tokens of every other, by the cluster's key or by the operator's", async () => {
    const secretFile = join(folder, "tokens")
    writeFileSync(secretFile, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600 })
    for (const more of [{}, { secretFile }]) {
      const cluster = newCluster()
      const listen = { port: 0 }
      const one = await node(cluster, "g1", { listen, ...more })
      const two = await node(cluster, "g2", { listen, roles: ["gateway"], ...more })
      const client = await connect(two.url ?? "", { token: await one.token() })
      while (!(await client.system()).ready) await sleep(20)
      await client.close()
      const kept = join(folder, cluster, "g2", "secret")
      expect(statSync(kept).mode & 0o777).toBe(0o600)
      expect(readFileSync(kept, "utf8") === readFileSync(secretFile, "utf8")).toBe("secretFile" in more)
    }
  })

  it.each<[string, OpenOptions, string]>([
    ["roles without a cluster", { roles: ["worker"] }, "nats"],
    ["a role that is none", { nats: "nats://127.0.0.1:1", roles: ["boss" as "worker"] }, "roles"],
    ["two copies", { nats: { servers: "nats://127.0.0.1:1", replicas: 2 } }, "replicas"],
    ["a secret file that is not there", { nats: "nats://127.0.0.1:1", secretFile: "/nowhere/secret" }, "secret-file"],
  ])("%s is refused, and named", async (_, options, path) => {
    const error = await Berth.open({ dataDir: join(folder, "refused"), executor: "none", ...options }).then(
      () => null,
      (refused: BerthError) => refused,
    )
    expect([error?.code, error?.path]).toEqual(["CONFIG_INVALID", path])
  })

  it("a broker that does not answer is told as such", async () => {
    const nats = "nats://127.0.0.1:1"
    const error = await Berth.open({ dataDir: join(folder, "away"), executor: "none", nats }).then(
      () => null,
      (refused: BerthError) => refused,
    )
    expect([error?.code, error?.retryable]).toEqual(["STORE_UNAVAILABLE", true])
  })
})
