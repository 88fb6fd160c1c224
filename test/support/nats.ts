/** Brokers of a test's own, one or a cluster of them, and the ports over them. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream"
import { connect, usernamePasswordAuthenticator } from "@nats-io/transport-node"
import { Context, Effect, Layer, type Scope } from "effect"
import { afterAll, beforeAll } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { Clock } from "../../core/ports/clock.ts"
import { Random } from "../../core/ports/random.ts"
import type { FoundNats } from "../../gateway/provision/nats.ts"
import { type JetstreamOptions, jetstreamPorts } from "../../store/jetstream/index.ts"
import { type Broker, type BrokerSettings, startBrokers } from "./broker.ts"
import { limitStream } from "./brokerTrouble.ts"
import { liveClock, seededRandom } from "./clock.ts"

/** A cluster of three that has just begun takes a while to agree on who leads. */
const SET_UP_MS = 90_000

export interface RigSettings extends BrokerSettings {
  /** Servers in the cluster. Default 1: one that is alone. */
  readonly nodes?: 1 | 3
  /** Copies of every stream. Default: as many as there are nodes. */
  readonly replicas?: number
  /** Who may do everything, where the configuration names users. */
  readonly operator?: { readonly name: string; readonly password: string }
}

/** Registers brokers for the suite around it. */
export class NatsRig {
  readonly #settings: RigSettings
  #dir = ""
  #brokers: readonly Broker[] = []
  #clusters = 0

  constructor(server: FoundNats, settings: RigSettings = {}) {
    this.#settings = settings
    beforeAll(async () => {
      this.#dir = mkdtempSync(join(tmpdir(), "berth-broker-"))
      this.#brokers = await startBrokers(server, this.#dir, settings.nodes ?? 1, settings)
    }, SET_UP_MS)
    afterAll(async () => {
      await Promise.all(this.#brokers.map((broker) => broker.stop("SIGTERM")))
      rmSync(this.#dir, { recursive: true, force: true })
    })
  }

  get brokers(): readonly Broker[] {
    return this.#brokers
  }

  get servers(): readonly string[] {
    return this.#brokers.map((broker) => broker.url)
  }

  get monitors(): readonly string[] {
    return this.#brokers.map((broker) => broker.monitor)
  }

  /** Ends the broker as a crash does, and starts it again where it was. */
  async restart(): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.restart()))
  }

  /** A name that no other test has. */
  newCluster(): string {
    return `c${++this.#clusters}`
  }

  /** The ports of a cluster, over a connection of their own. */
  open(options: Partial<JetstreamOptions> = {}) {
    const random = seededRandom((process.pid << 8) + ++this.#clusters)
    const { nodes = 1, operator, replicas = nodes } = this.#settings
    const user = operator === undefined ? {} : { user: operator }
    const usual = { servers: this.servers, cluster: this.newCluster(), replicas, monitors: this.monitors }
    return openPorts({ ...usual, ...user, ...options }, random)
  }

  /** What an operator's tools can do. */
  readonly manager: Effect.Effect<JetStreamManager, never, Scope.Scope> = Effect.suspend(() => {
    const { operator } = this.#settings
    const user =
      operator === undefined ? {} : { authenticator: usernamePasswordAuthenticator(operator.name, operator.password) }
    return Effect.acquireRelease(
      Effect.promise(() => connect({ servers: [...this.servers], ...user })),
      (connection) => Effect.promise(() => connection.close()),
    ).pipe(Effect.flatMap((connection) => Effect.promise(() => jetstreamManager(connection))))
  })

  /** From now on a stream takes no more than `spareBytes` beyond what it has; null: whatever comes. */
  limit(stream: string, spareBytes: number | null): Effect.Effect<void> {
    return Effect.scoped(
      Effect.flatMap(this.manager, (manager) => Effect.promise(() => limitStream(manager, stream, spareBytes))),
    )
  }
}

/** The ports as plain services, until the scope closes. */
export const openPorts = (options: JetstreamOptions, random = seededRandom(process.pid)) =>
  Layer.build(
    jetstreamPorts(options).pipe(
      Layer.provide(Layer.succeedContext(Context.make(Clock, liveClock).pipe(Context.add(Random, random)))),
    ),
  ) satisfies Effect.Effect<unknown, BerthError, Scope.Scope>

/** Stores bytes on a subject behind the adapter's back. */
export const smuggle = (rig: NatsRig, subject: string, bytes: Uint8Array): Effect.Effect<void> =>
  Effect.scoped(
    Effect.flatMap(rig.manager, (manager) =>
      Effect.promise(async () => void (await manager.jetstream().publish(subject, bytes))),
    ),
  )
