import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findNats } from "../gateway/provision/nats.ts"
import { Broker, freePlace } from "../test/support/broker.ts"

/** Runs something beside a broker of its own, the newest at hand, that syncs every message. */
export async function withBroker<A>(use: (broker: Broker, version: string) => Promise<A>): Promise<A> {
  const [server] = await findNats()
  if (server === undefined) throw new Error("no nats-server was found: npm run provision -- nats")
  const folder = await mkdtemp(join(tmpdir(), "berth-bench-broker-"))
  const broker = new Broker(server, await freePlace("n1", folder), [])
  try {
    broker.start()
    await broker.ready()
    return await use(broker, server.version)
  } finally {
    await broker.stop("SIGKILL")
    await rm(folder, { recursive: true, force: true })
  }
}
