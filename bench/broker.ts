import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findNats } from "../gateway/provision/nats.ts"
import { type Broker, startBrokers } from "../test/support/broker.ts"

/** Runs something beside brokers of its own, one or a cluster of three, the newest at hand, that sync every message. */
export async function withBrokers<A>(
  count: 1 | 3,
  use: (brokers: readonly Broker[], version: string) => Promise<A>,
): Promise<A> {
  const [server] = await findNats()
  if (server === undefined) throw new Error("no nats-server was found: npm run provision -- nats")
  const folder = await mkdtemp(join(tmpdir(), "berth-bench-broker-"))
  try {
    const brokers = await startBrokers(server, folder, count)
    try {
      return await use(brokers, server.version)
    } finally {
      await Promise.all(brokers.map((broker) => broker.stop("SIGKILL")))
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export const withBroker = <A>(use: (broker: Broker, version: string) => Promise<A>): Promise<A> =>
  withBrokers(1, ([broker], version) => use(broker as Broker, version))
