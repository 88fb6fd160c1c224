/** A broker that knows a user for each role, with the shipped permissions, and the ports as each of them. */
import { connect, type NatsConnection, usernamePasswordAuthenticator } from "@nats-io/transport-node"
import { Context, Effect, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { WakeUp } from "../../core/ports/queue.ts"
import type { FoundNats } from "../../gateway/provision/nats.ts"
import { type BrokerUser, permissionsOf, permissionsText } from "../../store/jetstream/permissions.ts"
import { NatsRig } from "./nats.ts"

const CLUSTER = "prod"
const KEYS = { text: Buffer.alloc(32, 7).toString("base64"), source: "the test" }

/** The cast: one of each role, and a second worker of another pool to speak as. */
const USERS = {
  leader: [{ role: "leader" }],
  gateway: [{ role: "gateway" }],
  w1: [{ role: "worker", worker: "w1", pool: "p" }],
  w2: [{ role: "worker", worker: "w2", pool: "other" }],
  both: [{ role: "leader" }, { role: "gateway" }],
} as const satisfies Record<string, readonly BrokerUser[]>
export type Who = keyof typeof USERS

const lines = (): readonly string[] => [
  "authorization { users: [",
  "{user: operator, password: o}",
  ...Object.entries(USERS).map(
    ([name, users]) => `{user: ${name}, password: x, permissions: ${permissionsText(permissionsOf(CLUSTER, users))}}`,
  ),
  "]}",
]

export const wakeUp = (taskId: string, pool = "p"): WakeUp => ({ pool, lane: "normal", taskId, epoch: 1, admission: 1 })

/** Registers the broker for the suite around it. */
export function brokerUsers(server: FoundNats) {
  const rig = new NatsRig(server, { operator: { name: "operator", password: "o" }, lines: lines() })
  const open = (who: Who) =>
    rig.open({
      cluster: CLUSTER,
      user: { name: who, password: "x" },
      manages: who === "leader" || who === "both",
      secretsKeys: KEYS,
      ackWaitMs: 5_000,
    })
  const port = <I, S>(who: Who, key: Context.Key<I, S>): Effect.Effect<S, BerthError, Scope.Scope> =>
    Effect.map(
      Effect.suspend(() => open(who)),
      (ports) => Context.get(ports as Context.Context<I>, key),
    )
  const raw = (who: Who): Effect.Effect<NatsConnection, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.promise(() =>
        connect({ servers: [...rig.servers], authenticator: usernamePasswordAuthenticator(who, "x") }),
      ),
      (connection) => Effect.promise(() => connection.close()),
    )

  return { rig, open, port, raw }
}
