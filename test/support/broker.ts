/** A broker's process: its store, its ports, its end. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { join } from "node:path"
import type { FoundNats } from "../../gateway/provision/nats.ts"

const READY_MS = 60_000
const LOOK_MS = 20

export interface BrokerSettings {
  /** Default true: what we ask operators to set. */
  readonly syncAlways?: boolean
  /** Further lines of the configuration. */
  readonly lines?: readonly string[]
  /** Default true. */
  readonly jetstream?: boolean
  /** Bytes that all streams together may have on disk. */
  readonly storeBytesMax?: number
  /** The whole configuration instead of ours, and the variables that it names. */
  readonly config?: (place: BrokerPlace, peers: readonly BrokerPlace[]) => string
  readonly env?: (place: BrokerPlace, peers: readonly BrokerPlace[]) => Readonly<Record<string, string>>
}

/** A port that nobody listens on at this moment. */
const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject)
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })

/** Where a node listens: a cluster's nodes must know of each other before one of them starts. */
export interface BrokerPlace {
  readonly name: string
  readonly dir: string
  readonly port: number
  readonly monitorPort: number
  readonly routePort: number
}

export const freePlace = async (name: string, dir: string): Promise<BrokerPlace> => ({
  name,
  dir: join(dir, name),
  port: await freePort(),
  monitorPort: await freePort(),
  routePort: await freePort(),
})

export class Broker {
  readonly place: BrokerPlace
  readonly #path: string
  readonly #env: Readonly<Record<string, string>>
  #child: ChildProcess | null = null

  constructor(server: FoundNats, place: BrokerPlace, peers: readonly BrokerPlace[], settings: BrokerSettings = {}) {
    this.place = place
    this.#path = server.path
    mkdirSync(place.dir, { recursive: true })
    const text = settings.config?.(place, peers) ?? configOf(place, peers, settings).join("\n")
    writeFileSync(join(place.dir, "server.conf"), text)
    this.#env = settings.env?.(place, peers) ?? {}
  }

  get url(): string {
    return `nats://127.0.0.1:${this.place.port}`
  }

  get monitor(): string {
    return `http://127.0.0.1:${this.place.monitorPort}`
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Starts the process, without waiting for what it does. */
  start(): void {
    const config = join(this.place.dir, "server.conf")
    const words = ["-c", config, "-l", join(this.place.dir, "server.log")]
    this.#child = spawn(this.#path, words, { stdio: "ignore", env: { ...process.env, ...this.#env } })
  }

  /** Resolves when it serves; a node of a cluster does so when it has found the others. */
  async ready(): Promise<void> {
    const deadlineMonoMs = performance.now() + READY_MS
    const serves = (): Promise<boolean> =>
      fetch(`${this.monitor}/healthz`).then(
        (answer) => answer.ok,
        () => false,
      )
    while (!(await serves())) {
      if (!this.isRunning || performance.now() > deadlineMonoMs)
        throw new Error(`broker ${this.place.name} did not start`)
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === null || !this.isRunning) return
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    child.kill(signal)
    await ended
  }

  /** Ends it as a crash does, and starts it again where it was. */
  async restart(): Promise<void> {
    await this.stop("SIGKILL")
    this.start()
    await this.ready()
  }
}

/** One that is alone, or three that make a cluster; resolves when they serve. */
export async function startBrokers(
  server: FoundNats,
  dir: string,
  count: 1 | 3,
  settings: BrokerSettings = {},
): Promise<readonly Broker[]> {
  const names = ["n1", "n2", "n3"].slice(0, count)
  const places = await Promise.all(names.map((name) => freePlace(name, dir)))
  const brokers = places.map((place) => new Broker(server, place, count > 1 ? places : [], settings))
  for (const broker of brokers) broker.start()
  try {
    await Promise.all(brokers.map((broker) => broker.ready()))
    return brokers
  } catch (error) {
    await Promise.all(brokers.map((broker) => broker.stop("SIGKILL")))
    throw error
  }
}

function configOf(place: BrokerPlace, peers: readonly BrokerPlace[], settings: BrokerSettings): readonly string[] {
  const { jetstream = true, lines = [], storeBytesMax, syncAlways = true } = settings
  const sync = syncAlways ? ", sync_interval: always" : ""
  const bytes = storeBytesMax === undefined ? "" : `, max_file_store: ${storeBytesMax}`
  const routes = peers.map((peer) => `"nats://127.0.0.1:${peer.routePort}"`).join(", ")
  return [
    'host: "127.0.0.1"',
    `port: ${place.port}`,
    `http: "127.0.0.1:${place.monitorPort}"`,
    `server_name: "${place.name}"`,
    ...(jetstream ? [`jetstream { store_dir: "${join(place.dir, "store")}"${sync}${bytes} }`] : []),
    ...(peers.length > 0
      ? [`cluster { name: "brokers", host: "127.0.0.1", port: ${place.routePort}, routes: [${routes}] }`]
      : []),
    ...lines,
  ]
}
