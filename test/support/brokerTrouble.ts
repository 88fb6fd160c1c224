/** What drills do to brokers behind the cluster's back: which of three is killed next, a stream that goes, and one that is full. */
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import type { Broker } from "./broker.ts"

/** The broker that leads a cluster's log; undefined while none does, or none says so. */
export async function leaderOfLog({ streams }: JetStreamManager, cluster: string): Promise<string | undefined> {
  try {
    return (await streams.info(`BERTH_${cluster}_LOG`)).cluster?.leader
  } catch {
    return undefined
  }
}

/** Asks over a connection of its own. */
async function managing<A>(servers: readonly string[], ask: (manager: JetStreamManager) => Promise<A>): Promise<A> {
  const connection = await connect({ servers: [...servers] })
  try {
    return await ask(await jetstreamManager(connection))
  } finally {
    await connection.close()
  }
}

export const askLeaderOfLog = (servers: readonly string[], cluster: string): Promise<string | undefined> =>
  managing(servers, (manager) => leaderOfLog(manager, cluster)).catch(() => undefined)

/** Deletes the queue's stream, as an operator might by mistake; how many wake-ups were in it. */
export const deleteQueue = (server: string, cluster: string): Promise<number> =>
  managing([server], async ({ streams }) => {
    const { state } = await streams.info(`BERTH_${cluster}_QUEUE`)
    await streams.delete(`BERTH_${cluster}_QUEUE`)
    return state.messages
  })

/** From now on a stream takes no more than `spareBytes` beyond what it has; null: whatever comes. */
export async function limitStream(
  { streams }: JetStreamManager,
  stream: string,
  spareBytes: number | null,
): Promise<void> {
  const { state } = await streams.info(stream)
  await streams.update(stream, { max_bytes: spareBytes === null ? -1 : state.bytes + spareBytes })
}

/** The same for a cluster's log, as an operator gives it a bound. */
export const limitLog = (server: string, cluster: string, spareBytes: number | null): Promise<void> =>
  managing([server], (manager) => limitStream(manager, `BERTH_${cluster}_LOG`, spareBytes))

export function chooseVictim(brokers: readonly Broker[], leader: string | undefined, n: number): Broker {
  const others = brokers.filter(({ place }) => place.name !== leader)
  const found = n % 2 === 0 ? brokers.find(({ place }) => place.name === leader) : undefined
  return found ?? (others[n % others.length] as Broker)
}
