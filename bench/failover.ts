import { findNats } from "../gateway/provision/nats.ts"
import { allReady, ClusterProcesses } from "../test/support/clusterProcesses.ts"
import { quantile, type Report, rounded, type Scenario } from "./scenario.ts"

const ROUNDS = 10

/** From a signal to the leader until another node leads and decides, as its /ready says. */
async function failovers(cluster: ClusterProcesses, signal: NodeJS.Signals): Promise<readonly number[]> {
  const tookMs: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const leader = await cluster.leader()
    const beganMonoMs = performance.now()
    leader.signal(signal)
    await cluster.leader(leader)
    tookMs.push(performance.now() - beganMonoMs)
    await leader.ended
    await allReady([await cluster.start(leader.name, "leader")])
  }
  return tookMs
}

/** Real processes on a real broker: how long nobody admits when the leader is killed, and when it is told to stop. */
export const failover: Scenario = {
  name: "failover",
  help: "a cluster's leader is killed (kill -9), or told to stop (SIGTERM): until another leads",
  onlyByName: true,
  measure: async (): Promise<Report> => {
    const [server] = await findNats()
    if (server === undefined) throw new Error("no nats-server was found: npm run provision -- nats")
    const cluster = await ClusterProcesses.open(server)
    try {
      await Promise.all(["l1", "l2", "l3"].map((name) => cluster.start(name, "leader")))
      await allReady(cluster.nodes)
      const killed = await failovers(cluster, "SIGKILL")
      const stopped = await failovers(cluster, "SIGTERM")
      return {
        broker: server.version,
        rounds: ROUNDS,
        killedP50Ms: rounded(quantile(killed, 0.5), 0),
        killedP100Ms: rounded(Math.max(...killed), 0),
        stoppedP50Ms: rounded(quantile(stopped, 0.5), 0),
        stoppedP100Ms: rounded(Math.max(...stopped), 0),
      }
    } finally {
      await cluster.close()
    }
  },
}
