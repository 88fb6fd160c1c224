/** What each node of a cluster says of itself, whatever its role: at its start, on its port, and where it began to read. */
import { request } from "node:http"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, it } from "vitest"
import { connect } from "../../gateway/client/index.ts"
import { allReady, type ClusterNode, ClusterProcesses, marking, readinessOf } from "../support/clusterProcesses.ts"
import { describeWithNats } from "../support/require.ts"
import { said } from "../support/serverProcess.ts"

const TASKS = 30
const LOOK_MS = 20
const ON_DISK = "what is acknowledged is on the brokers' disks"
const IN_CACHE = "what is acknowledged is in the brokers' page cache, and may be lost in a power cut"
const SAMPLE = /^(\w+)(\{(?:\w+="[^"]*",?)*\})? (-?[0-9.e+-]+|\+Inf|NaN)$/

/** The text format of Prometheus, read strictly: value by name and labels. */
async function metricsOf(node: ClusterNode): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`${node.at.url}/metrics`)
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"])
  const lines = (await answer.text()).split("\n").filter((line) => line !== "")
  const samples = lines.filter((line) => !/^# (HELP|TYPE) berth_\w+ /.test(line))
  expect(samples.filter((line) => !SAMPLE.test(line))).toEqual([])
  return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]))
}

/** What a request for a socket is answered with where it is not granted. */
const upgrade = (node: ClusterNode): Promise<{ readonly status: number; readonly body: string }> =>
  new Promise((resolve, reject) => {
    const asked = request(`${node.at.url}/v1`, {
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": Buffer.alloc(16, 1).toString("base64"),
        "sec-websocket-protocol": "berth.v1",
        authorization: `Bearer ${node.at.token}`,
      },
    })
    asked.once("error", reject)
    asked.once("upgrade", (_, socket) => {
      socket.destroy()
      resolve({ status: 101, body: "" })
    })
    asked.once("response", (answer) => {
      let body = ""
      answer.on("data", (bytes: Buffer) => (body += bytes.toString()))
      answer.once("end", () => resolve({ status: answer.statusCode ?? 0, body }))
    })
    asked.end()
  })

describeWithNats("a node of a cluster", "newest", (server) => {
  let cluster: ClusterProcesses
  let [gateway, leader, worker]: ClusterNode[] = []
  let ids: readonly string[] = []
  const nodes = () => ({ gateway: gateway!, leader: leader!, worker: worker! })
  const runSome = async (count: number): Promise<readonly string[]> => {
    const client = await cluster.client(gateway!)
    const request = marking(join(cluster.folder, "marks"), "once")
    const outcomes = await Promise.all(Array.from({ length: count }, () => client.run(request)))
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => "completed"))
    return outcomes.map(({ task }) => task.id)
  }

  beforeAll(async () => {
    cluster = await ClusterProcesses.open(server)
    ;[leader, gateway, worker] = await Promise.all([
      cluster.start("l", "leader", { env: { BERTH_SNAPSHOT_ENTRIES: "100" } }),
      cluster.start("g", "gateway"),
      cluster.start("w", "worker"),
    ])
    await allReady(cluster.nodes)
    ids = await runSome(TASKS)
  })
  afterAll(() => cluster.close())

  it("of whatever role answers for its health, and says whether it is ready", async () => {
    for (const [role, node] of Object.entries(nodes())) {
      const health = await fetch(`${node.at.url}/health`)
      expect([role, health.status, await health.json()]).toEqual([role, 200, { status: "ok" }])
      const ready = await fetch(`${node.at.url}/ready`)
      expect([ready.status, await ready.json()]).toMatchObject([
        200,
        { status: "ready", trouble: null, roles: [role], leader: role === "leader", durability: "fsynced" },
      ])
    }
  })

  it("of whatever role shows metrics, and they are its own", async () => {
    for (const [role, node] of Object.entries(nodes())) {
      const metrics = await metricsOf(node)
      const only = (what: string, value: number) => (role === what ? value : 0)
      const told = {
        berth_tasks_submitted_total: only("gateway", TASKS),
        berth_admissions_total: only("leader", TASKS),
        berth_leader: only("leader", 1),
        'berth_attempts_ended_total{status="completed",reason="exit_zero"}': only("worker", TASKS),
      }
      const found = Object.keys(told).map((name) => [name, metrics.get(name) ?? 0])
      expect({ role, ...Object.fromEntries(found) }).toEqual({ role, ...told })
      expect(metrics.get("berth_read_model_seq")).toBeGreaterThan(TASKS)
    }
  })

  it("grants a socket only where it is a gateway; elsewhere it says so, and who to ask", async () => {
    expect((await upgrade(gateway!)).status).toBe(101)
    for (const node of [leader!, worker!]) {
      const { body, status } = await upgrade(node)
      expect([node.roles, status, JSON.parse(body)]).toMatchObject([
        node.roles,
        404,
        {
          error: {
            code: "NOT_FOUND",
            message: "this node is no gateway",
            hint: expect.stringContaining("--role gateway"),
          },
        },
      ])
      const { token, url } = node.at
      const refused = await connect(url, { token }).then(
        () => null,
        (error: unknown) => error,
      )
      expect(refused).toMatchObject({ message: expect.stringMatching(/this node is no gateway.* --role gateway/) })
      expect((await fetch(`${url}/v1/tasks/${ids[0]}/artifacts/a`)).status).toBe(404)
    }
  })

  it("says at its start that an acknowledgement means the disk, where the broker syncs always", () => {
    for (const [role, node] of Object.entries(nodes()))
      expect([role, said(node, ON_DISK)]).toMatchObject([role, [{ durability: "fsynced", roles: [role] }]])
  })

  it("says that it means the page cache, where the broker does not", async () => {
    const careless = await ClusterProcesses.open(server, { syncAlways: false })
    try {
      const node = await careless.start("n", "gateway,leader,worker")
      expect(said(node, IN_CACHE)).toMatchObject([{ durability: "page-cache" }])
      expect(said(node, ON_DISK)).toEqual([])
      expect(await readinessOf(node)).toMatchObject({ durability: "page-cache" })
    } finally {
      await careless.close()
    }
  })

  it("with an empty folder begins from the leader's snapshot, and shows every task, those that came after it too", async () => {
    const snapshots = () => said(leader!, "a snapshot of the read model was left")
    while (snapshots().length === 0) await sleep(LOOK_MS)
    const later = await runSome(5)
    const fresh = await cluster.start("fresh", "gateway")
    const [anew, started] = ["the read model is made anew", ON_DISK].map((message) => said(fresh, message))
    expect(anew).toMatchObject([{ from: "snapshot", why: "there is none" }])
    expect(snapshots().map(({ seq }) => seq)).toContain(started?.[0]?.["checkpointSeq"])
    expect(started?.[0]?.["checkpointSeq"]).toBeGreaterThanOrEqual(100)
    await allReady([fresh])
    const [ours, theirs] = await Promise.all([gateway!, fresh].map((node) => cluster.client(node)))
    const listed: string[] = []
    for await (const { id } of theirs!.list()) listed.push(id)
    expect(listed.toSorted()).toEqual([...ids, ...later].toSorted())
    for (const id of listed) expect(await theirs!.get(id)).toEqual(await ours!.get(id))
  })
})
