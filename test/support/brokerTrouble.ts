/** What drills do to brokers behind the cluster's back: which of three is killed next, and a stream that goes. */
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

export function chooseVictim(brokers: readonly Broker[], leader: string | undefined, n: number): Broker {
  const others = brokers.filter(({ place }) => place.name !== leader)
  const found = n % 2 === 0 ? brokers.find(({ place }) => place.name === leader) : undefined
  return found ?? (others[n % others.length] as Broker)
}
