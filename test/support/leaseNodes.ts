/** Nodes of a cluster as processes of their own: one gateway that leads, and workers, each behind a wire that can be held. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { BerthClient } from "../../gateway/client/index.ts"
import type { FoundEngine } from "../../gateway/provision/engine.ts"
import type { FoundNats } from "../../gateway/provision/nats.ts"
import { Broker, freePlace } from "./broker.ts"
import { removeContainersOf, startWitness, type Seen, type Witness } from "./engineWitness.ts"
import { clientOf, type ServerProcess, startServer } from "./serverProcess.ts"
import { openStallingProxy, type StallingProxy } from "./stallingProxy.ts"

export interface WorkerNode {
  readonly process: ServerProcess
  readonly wire: StallingProxy
}

export interface LeaseNodes {
  readonly broker: Broker
  readonly client: BerthClient
  readonly clusterId: string
  readonly gateway: ServerProcess
  readonly startWorker: (name: string, slots?: number, flags?: readonly string[]) => Promise<WorkerNode>
  readonly seen: () => readonly Seen[]
  readonly close: () => Promise<void>
}

export async function startLeaseNodes(
  engine: FoundEngine,
  server: FoundNats,
  env: Readonly<Record<string, string>> = {},
): Promise<LeaseNodes> {
  const folder = mkdtempSync(join(tmpdir(), "berth-lease-"))
  const broker = new Broker(server, await freePlace("n1", folder), [])
  broker.start()
  await broker.ready()
  const witness: Witness = await startWitness(engine, join(folder, "events"))
  const closers: (() => Promise<unknown>)[] = []
  const node = (name: string, port: number, slots: number, flags: readonly string[]) => {
    const nats = ["--nats", `nats://127.0.0.1:${port}`, "--nats-monitor", broker.monitor]
    return startServer({ dataDir: join(folder, name), slots, engine: engine.host, env, flags: [...nats, ...flags] })
  }
  const gateway = await node("gateway", broker.place.port, 1, ["--role", "gateway,leader"])
  closers.push(() => gateway.end("SIGKILL"))
  const client = await clientOf(gateway.at)
  const { clusterId } = await client.system()
  return {
    broker,
    client,
    clusterId,
    gateway,
    startWorker: async (name, slots = 16, flags = []) => {
      const wire = await openStallingProxy(broker.place.port)
      const process = await node(name, wire.port, slots, ["--role", "worker", ...flags])
      closers.push(() => process.end("SIGKILL"), wire.close)
      return { process, wire }
    },
    seen: () => witness.seen(clusterId),
    close: async () => {
      await client.close()
      for (const close of closers.reverse()) await close()
      await removeContainersOf(engine, clusterId)
      await witness.stop()
      await broker.stop("SIGKILL")
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
