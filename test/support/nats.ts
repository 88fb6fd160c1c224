/** A broker of a test's own: its process, its port, its store, and the ports of a cluster over it. */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Context, Effect, Layer, type Scope } from "effect"
import { afterAll, beforeAll } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { Clock } from "../../core/ports/clock.ts"
import { Random } from "../../core/ports/random.ts"
import type { FoundNats } from "../../gateway/provision/nats.ts"
import { type JetstreamOptions, jetstreamPorts } from "../../store/jetstream/index.ts"
import { liveClock, seededRandom } from "./clock.ts"

const READY_MS = 20_000
const LOOK_MS = 20

export interface BrokerSettings {
  /** Default true: what we ask operators to set. */
  readonly syncAlways?: boolean
}

/** Registers a broker for the suite around it. */
export class NatsRig {
  readonly #server: FoundNats
  readonly #syncAlways: boolean
  #dir = ""
  #child: ChildProcess | null = null
  #url = ""
  #monitor = ""
  #clusters = 0

  constructor(server: FoundNats, settings: BrokerSettings = {}) {
    this.#server = server
    this.#syncAlways = settings.syncAlways ?? true
    beforeAll(async () => {
      this.#dir = mkdtempSync(join(tmpdir(), "berth-broker-"))
      await this.#start(-1, -1)
    })
    afterAll(async () => {
      await this.#stop("SIGTERM")
      rmSync(this.#dir, { recursive: true, force: true })
    })
  }

  get url(): string {
    return this.#url
  }

  get monitor(): string {
    return this.#monitor
  }

  /** Ends the broker as a crash does, and starts it again where it was. */
  async restart(): Promise<void> {
    const [port, monitor] = [this.#url, this.#monitor].map((url) => Number(new URL(url).port))
    await this.#stop("SIGKILL")
    await this.#start(port ?? -1, monitor ?? -1)
  }

  /** A name that no other test has. */
  newCluster(): string {
    return `c${++this.#clusters}`
  }

  /** The ports of a cluster, over a connection of their own. */
  open(options: Partial<JetstreamOptions> = {}) {
    const random = seededRandom((process.pid << 8) + ++this.#clusters)
    return openPorts(
      { servers: [this.#url], cluster: this.newCluster(), replicas: 1, monitors: [this.#monitor], ...options },
      random,
    )
  }

  /** What an operator's tools can do. */
  readonly manager: Effect.Effect<JetStreamManager, never, Scope.Scope> = Effect.suspend(() =>
    Effect.map(
      Effect.acquireRelease(
        Effect.promise(() => connect({ servers: this.#url })),
        (connection) => Effect.promise(() => connection.close()),
      ),
      (connection) => connection,
    ).pipe(Effect.flatMap((connection) => Effect.promise(() => jetstreamManager(connection)))),
  )

  /** From now on a stream takes no more than `spareBytes` beyond what it has; null: whatever comes. */
  limit(stream: string, spareBytes: number | null): Effect.Effect<void> {
    return Effect.scoped(
      Effect.flatMap(this.manager, ({ streams }) =>
        Effect.promise(async () => {
          const { state } = await streams.info(stream)
          await streams.update(stream, { max_bytes: spareBytes === null ? -1 : state.bytes + spareBytes })
        }),
      ),
    )
  }

  async #start(port: number, monitorPort: number): Promise<void> {
    const config = join(this.#dir, "server.conf")
    const sync = this.#syncAlways ? ", sync_interval: always" : ""
    writeFileSync(
      config,
      [
        'host: "127.0.0.1"',
        `port: ${port}`,
        `http: "127.0.0.1:${monitorPort}"`,
        `ports_file_dir: "${this.#dir}"`,
        `jetstream { store_dir: "${join(this.#dir, "store")}"${sync} }`,
      ].join("\n"),
    )
    const child = spawn(this.#server.path, ["-c", config], { stdio: ["ignore", "ignore", "ignore"] })
    this.#child = child
    const portsFile = join(this.#dir, `nats-server_${child.pid}.ports`)
    const deadlineMonoMs = performance.now() + READY_MS
    const isReady = async (): Promise<boolean> => {
      if (!existsSync(portsFile)) return false
      const ports = JSON.parse(readFileSync(portsFile, "utf8") || "{}") as { nats?: string[]; monitoring?: string[] }
      this.#url = ports.nats?.[0] ?? ""
      this.#monitor = ports.monitoring?.[0] ?? ""
      if (this.#url === "" || this.#monitor === "") return false
      return fetch(`${this.#monitor}/healthz`).then(
        (answer) => answer.ok,
        () => false,
      )
    }
    while (!(await isReady())) {
      if (child.exitCode !== null || performance.now() > deadlineMonoMs) throw new Error("the broker did not start")
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }

  async #stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null) return
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    child.kill(signal)
    await ended
  }
}

/** The ports as plain services, until the scope closes. */
export const openPorts = (options: JetstreamOptions, random = seededRandom(process.pid)) =>
  Layer.build(
    jetstreamPorts(options).pipe(
      Layer.provide(Layer.succeedContext(Context.make(Clock, liveClock).pipe(Context.add(Random, random)))),
    ),
  ) satisfies Effect.Effect<unknown, BerthError, Scope.Scope>
