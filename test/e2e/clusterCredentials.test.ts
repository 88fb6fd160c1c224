/** The shipped program against brokers that let in only who shows the right certificate, key or credentials, by its flags alone. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { nkeys } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { permissionsOf } from "../../store/jetstream/permissions.ts"
import { ClusterProcesses, marking, marksOf } from "../support/clusterProcesses.ts"
import { operatorMode } from "../support/operatorMode.ts"
import { describeWithNats } from "../support/require.ts"

const TLS = join(import.meta.dirname, "../support/tls")
const CA = join(TLS, "ca.pem")
const CERT = ["--nats-cert", join(TLS, "client.pem"), "--nats-key", join(TLS, "client-key.pem")]
const SERVER_SIDE = `cert_file: "${join(TLS, "server.pem")}", key_file: "${join(TLS, "server-key.pem")}"`
const REFUSED = 125

/** A gateway that leads and a worker with these flags, and one task through both. */
async function runsOneTask(cluster: ClusterProcesses, gatewayFlags: readonly string[], workerFlags = gatewayFlags) {
  const [gateway] = await Promise.all([
    cluster.start("g", "gateway,leader", { flags: gatewayFlags }),
    cluster.start("w", "worker", { flags: workerFlags }),
  ])
  const client = await cluster.client(gateway)
  const marks = join(cluster.folder, "marks")
  const outcome = await client.run(marking(marks, "once", 3))
  expect([outcome.status, outcome.stdout]).toEqual(["completed", "line 1\nline 2\nline 3\n"])
  expect(marksOf(marks)).toEqual(new Map([["once", 1]]))
}

/** What a node with these flags is refused with: the end of the start, and the option that is to be put right. */
async function refusal(cluster: ClusterProcesses, flags: readonly string[]) {
  const node = cluster.launch("refused", "worker", { flags })
  expect(await node.ready, node.log()).toBeNull()
  const { code } = await node.ended
  const { error } = JSON.parse(node.log().trim().split("\n").at(-1) ?? "") as {
    readonly error: { readonly code: string; readonly path: string }
  }
  return [code, error.code, error.path]
}

describeWithNats("berth serve by its flags", "newest", (server) => {
  let cluster: ClusterProcesses
  const on = (lines: readonly string[]) => {
    beforeAll(async () => {
      cluster = await ClusterProcesses.open(server, { lines })
    })
    afterAll(() => cluster.close())
  }
  const file = (name: string, content: string): string => {
    const path = join(cluster.folder, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }

  describe("on a broker that asks for a certificate and an nkey", () => {
    const user = nkeys.createUser()
    on([
      `tls { ${SERVER_SIDE}, ca_file: "${CA}", verify: true }`,
      `authorization { users: [{nkey: ${user.getPublicKey()}}] }`,
    ])
    const nkey = () => ["--nats-nkey", file("seed.nk", `${new TextDecoder().decode(user.getSeed())}\n`)]

    it("runs a task over TLS with --nats-ca, --nats-cert, --nats-key and --nats-nkey", () =>
      runsOneTask(cluster, ["--nats-ca", CA, ...CERT, ...nkey()]))

    it("is refused without the authority, and with a key that the broker does not know", async () => {
      const stranger = file("stranger.nk", new TextDecoder().decode(nkeys.createUser().getSeed()))
      expect(await refusal(cluster, [...nkey()])).toEqual([REFUSED, "CONFIG_INVALID", "nats.tls"])
      const unknown = ["--nats-ca", CA, ...CERT, "--nats-nkey", stranger]
      expect(await refusal(cluster, unknown)).toEqual([REFUSED, "CONFIG_INVALID", "nats.credentials"])
    })
  })

  describe("on a broker in operator mode", () => {
    const trust = operatorMode()
    on([...trust.lines, `tls { ${SERVER_SIDE} }`])
    const ca = ["--nats-ca", CA]

    it("runs a task with --nats-creds, each node with the rights of its roles in its file and no others", () => {
      const gateway = trust.creds("g", permissionsOf("main", [{ role: "gateway" }, { role: "leader" }]))
      const worker = trust.creds("w", permissionsOf("main", [{ role: "worker", worker: "w1", pool: "default" }]))
      return runsOneTask(
        cluster,
        [...ca, "--nats-creds", file("g.creds", gateway)],
        [...ca, "--worker", "w1", "--nats-creds", file("w.creds", worker)],
      )
    })

    it("is refused with credentials that another operator's account gave", async () => {
      const foreign = file("foreign.creds", operatorMode().creds("x", { publish: [">"], subscribe: [">"] }))
      const flags = [...ca, "--nats-creds", foreign]
      expect(await refusal(cluster, flags)).toEqual([REFUSED, "CONFIG_INVALID", "nats.credentials"])
    })
  })
})
