/** The library: `import { Berth } from "berth"`. A server inside your program, and the SDK's client to it. */
import type { Handlers } from "../../actors/executor/handler/index.ts"
import type { ConfigInput } from "../../core/config.ts"
import { berthError } from "../../core/errors.ts"
import type { Role } from "../../core/words.ts"
import type { Logger } from "../../core/telemetry.ts"
import type { BerthClient } from "../client/client.ts"
import { embeddedClient } from "./embedded.ts"
import { DEFAULT_ENGINE, type ExecutorName, executorName } from "./choices.ts"
import type { ClusterChoice } from "./cluster.ts"
import { clusterChoice, type NatsOptions, secretGiven } from "./clusterChoice.ts"
import { SILENT } from "./logger.ts"
import { dataDirOf } from "./paths.ts"
import { secretsKeysOf } from "./secretsKeys.ts"
import { openServer, type Server } from "./server.ts"

export type { Handler, HandlerContext, Handlers } from "../../actors/executor/handler/index.ts"
export type { ConfigInput } from "../../core/config.ts"
export type { Logger } from "../../core/telemetry.ts"
export type { Role } from "../../core/words.ts"
export type { ExecutorName } from "./choices.ts"
export type { NatsOptions } from "./clusterChoice.ts"
export * from "../client/publicTypes.ts"

export interface OpenOptions {
  /** Everything that is kept is kept here. Default `.berth` in the home directory. One process at a time. */
  readonly dataDir?: string
  /** Makes this program a node of the cluster on this NATS server; then `dataDir` is this node's own. */
  readonly nats?: string | NatsOptions
  /** What this node of a cluster does. Default: all. */
  readonly roles?: readonly Role[]
  /** Of this node's worker. Default `default`. */
  readonly pool?: string
  /** Of this node's worker: what tasks may require. */
  readonly labels?: Readonly<Record<string, string>>
  /** File with the key of the cluster's tokens. Default: `BERTH_SECRET_FILE`, else the cluster's own. */
  readonly secretFile?: string
  /** Functions of this program that tasks may name. */
  readonly handlers?: Handlers
  /** What runs programs. Default `docker`; `none` for handlers alone; `process` isolates nothing. */
  readonly executor?: ExecutorName
  /** Address of the container engine. Default `unix:///var/run/docker.sock`. */
  readonly engine?: string
  /** With `listen` or `nats`: refuse to start on an engine below the floors of `berth doctor`. Default false. */
  readonly strict?: boolean
  /** Attempts at once. Default 8. */
  readonly slots?: number
  /** Further settings, see core/config.ts. */
  readonly config?: ConfigInput
  /** File with the keys that secrets are sealed with. Default: `BERTH_SECRETS_KEY_FILE`, else a key of the data directory's own. */
  readonly secretsKeyFile?: string
  /** As whom this program's tasks are submitted. Default `local`. */
  readonly owner?: string
  /** Also listens for other clients; `port` 0 takes any free one. */
  readonly listen?: { readonly host?: string; readonly port: number }
  readonly logger?: Logger
  /** Told when the server cannot go on. Default: throws, so that the process ends and a successor adopts what runs. */
  readonly onFatal?: (reason: string) => void
}

/** An embedded server and its client in one: all methods of the client, and what only the one who embeds may do. */
export class Berth implements AsyncDisposable {
  /** Submits, watches, cancels: the same client that `connect` of `berth/client` returns. */
  readonly client: BerthClient
  readonly #server: Server
  readonly #owner: string

  private constructor(server: Server, client: BerthClient, owner: string) {
    this.#server = server
    this.client = client
    this.#owner = owner
  }

  /**
   * Opens a server on a data directory.
   *
   * @returns after everything that an earlier process left behind was adopted or given back
   * @throws BerthError DATA_DIR_LOCKED, CONFIG_INVALID, SANDBOX_BELOW_FLOORS, SCHEMA_TOO_NEW, STORE_UNAVAILABLE
   */
  static async open(options: OpenOptions = {}): Promise<Berth> {
    const owner = options.owner ?? "local"
    const server = await openServer({
      dataDir: dataDirOf(options.dataDir, process.env),
      cluster: clusterOf(options),
      pool: options.pool,
      labels: options.labels,
      executor: executorName(options.executor),
      engine: options.engine ?? process.env.DOCKER_HOST ?? DEFAULT_ENGINE,
      handlers: options.handlers ?? {},
      strict: options.strict ?? false,
      config: { ...options.config, slots: options.slots ?? options.config?.slots },
      environment: process.env,
      secretsKeys: secretsKeysOf(options.secretsKeyFile, process.env),
      logger: options.logger ?? SILENT,
      door: options.listen === undefined ? null : { ...options.listen, jwks: null },
      onFatal: options.onFatal ?? failLoudly,
    })
    const client = await embeddedClient(server, { owner, role: "admin", laneMax: "urgent" }, options.logger ?? SILENT)
    return new Berth(server, client, owner)
  }

  get dataDir(): string {
    return this.#server.dataDir
  }
  /** Where other clients may connect; null unless `listen` was given. */
  get url(): string | null {
    return this.#server.url
  }

  /** A token for another client of this server. Default: this program's own owner, for a day. */
  token(
    options: { readonly owner?: string; readonly role?: "user" | "admin"; readonly lifeMs?: number } = {},
  ): Promise<string> {
    const { lifeMs, owner = this.#owner, role = "user" } = options
    return this.#server.mint({ owner, role, laneMax: "urgent" }, lifeMs)
  }

  run: BerthClient["run"] = (...args) => this.client.run(...args)
  submit: BerthClient["submit"] = (...args) => this.client.submit(...args)
  task: BerthClient["task"] = (...args) => this.client.task(...args)
  get: BerthClient["get"] = (...args) => this.client.get(...args)

  /** Stops the server. Running containers are left to whoever opens this directory next; handlers are told to stop. */
  async close(): Promise<void> {
    await this.client.close()
    await this.#server.close()
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function clusterOf({ dataDir, nats, roles = [], secretFile }: OpenOptions): ClusterChoice | null {
  if (nats === undefined) {
    if (roles.length === 0) return null
    throw berthError("CONFIG_INVALID", "roles are of a cluster: name its NATS server", { path: "nats" })
  }
  return clusterChoice({
    nats: typeof nats === "string" ? { servers: nats } : nats,
    roles,
    secret: secretGiven(secretFile, process.env),
    place: dataDir === undefined && process.env.BERTH_DATA === undefined ? "below" : "own",
  })
}

function failLoudly(reason: string): void {
  queueMicrotask(() => {
    throw berthError("INTERNAL", `the embedded server cannot go on: ${reason}`)
  })
}
