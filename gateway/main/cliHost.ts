/** What the command line needs from this process; the CLI itself knows only the SDK. */
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"
import { berthError } from "../../core/errors.ts"
import { readLock } from "../../store/sqlite/lock.ts"
import { type CliHost, type EmbeddedOptions, processTerminal, type ServeOptions } from "../cli/index.ts"
import { connect } from "../client/index.ts"
import { mintToken, openSecret } from "../server/secret.ts"
import { DEFAULT_ENGINE, executorName } from "./choices.ts"
import { clusterOfFlags } from "./clusterChoice.ts"
import { jsonLogger, LOG_LEVELS, SILENT } from "./logger.ts"
import { dataDirOf } from "./paths.ts"
import { secretsKeysOf } from "./secretsKeys.ts"
import type { Server, ServerOptions } from "./server.ts"
import { VERSION } from "./version.ts"

const LOCAL_OWNER = "local"
const TOKEN_LIFE_MS = 12 * 3_600_000
const FATAL_EXIT_CODE = 125
const DEFAULT_PORT = 7411
const PORT_MAX = 65_535

/** As whom the commands of one machine speak to their own server: whoever can read the data directory's secret. */
const LOCAL = { owner: LOCAL_OWNER, role: "admin", laneMax: "urgent" } as const

function serverOptions(
  options: EmbeddedOptions & Partial<ServeOptions>,
  environment: NodeJS.ProcessEnv,
): Omit<ServerOptions, "logger" | "door"> {
  return {
    // Commands that are a server only for themselves stay alone, whatever the environment says.
    cluster: options.nats === undefined ? null : clusterOfFlags(options, environment),
    pool: options.pool ?? environment.BERTH_POOL,
    workerName: options.worker ?? (environment.BERTH_WORKER || undefined),
    labels: options.labels,
    dataDir: dataDirOf(options.dataDir, environment),
    executor: executorName(options.executor ?? environment.BERTH_EXECUTOR),
    engine: environment.DOCKER_HOST ?? DEFAULT_ENGINE,
    handlers: {},
    strict: options.strict === true || environment.BERTH_STRICT === "1",
    secretsKeys: secretsKeysOf(options.secretsKeyFile, environment),
    config: { slots: options.slots },
    environment,
    onFatal: (reason) => {
      process.stderr.write(`berth: the server cannot go on: ${reason}\n`)
      process.exit(FATAL_EXIT_CODE)
    },
  }
}

/** Keys of another issuer, when the environment names them. */
function jwksOf(environment: NodeJS.ProcessEnv): { readonly url: string; readonly issuer: string } | null {
  const { BERTH_JWKS_ISSUER: issuer, BERTH_JWKS_URL: url } = environment
  if (url === undefined) return null
  if (issuer === undefined)
    throw berthError("CONFIG_INVALID", "BERTH_JWKS_URL needs BERTH_JWKS_ISSUER", { path: "BERTH_JWKS_ISSUER" })
  return { url, issuer }
}

/** What `serve` listens on when no flag says so. */
function portOf(environment: NodeJS.ProcessEnv): number {
  const { BERTH_PORT: text } = environment
  if (text === undefined || text === "") return DEFAULT_PORT
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (port <= PORT_MAX) return port
  throw berthError("CONFIG_INVALID", `BERTH_PORT must be a whole number from 0 to ${PORT_MAX}, not ${text}`, {
    path: "BERTH_PORT",
  })
}

function logLevelOf(environment: NodeJS.ProcessEnv): (typeof LOG_LEVELS)[number] {
  const { BERTH_LOG: text } = environment
  if (text === undefined || text === "") return "info"
  const level = LOG_LEVELS.find((known) => known === text)
  if (level !== undefined) return level
  throw berthError("CONFIG_INVALID", `BERTH_LOG must be one of ${LOG_LEVELS.join(", ")}, not ${text}`, {
    path: "BERTH_LOG",
  })
}

const listOf = (value: string | undefined): readonly string[] => (value ?? "").split(",").filter((part) => part !== "")

async function bytesBelow(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true })
  const sizes = await Promise.all(
    names.map((name) => stat(join(folder, name)).then((entry) => (entry.isFile() ? entry.size : 0))),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

async function secretOf(dataDir: string): Promise<Uint8Array> {
  return Effect.runPromise(openSecret(dataDir))
}

/** What runs a server is loaded when a command needs one: most commands only talk to one that lives. */
export function makeCliHost(environment: NodeJS.ProcessEnv): CliHost {
  const closedOf = (server: Server): { readonly close: () => Promise<void>; readonly closed: Promise<void> } => {
    let ended = (): void => {}
    const closed = new Promise<void>((resolve) => {
      ended = resolve
    })
    return { close: () => server.close().finally(ended), closed }
  }
  return {
    ...processTerminal(process),
    version: VERSION,
    env: environment,
    after: (ms, callback) => {
      const timer = setTimeout(callback, ms)
      return () => clearTimeout(timer)
    },
    nowMs: () => Date.now(),
    connect,
    locate: async (given) => {
      const dataDir = dataDirOf(given, environment)
      const found = readLock(dataDir)
      if (found === null || found.url === null) return null
      return { url: found.url, token: async () => mintToken(await secretOf(dataDir), LOCAL, Date.now(), TOKEN_LIFE_MS) }
    },
    openEmbedded: async (options) => {
      const [{ openServer }, { embeddedClient }] = await Promise.all([import("./server.ts"), import("./embedded.ts")])
      const server = await openServer({ ...serverOptions(options, environment), logger: SILENT, door: null })
      const client = await embeddedClient(server, LOCAL, SILENT)
      return { client, dataDir: server.dataDir, close: () => client.close().then(server.close) }
    },
    serve: async (options) => {
      const logger = jsonLogger(logLevelOf(environment), VERSION)
      const door = {
        ...(options.bind === undefined ? {} : { host: options.bind }),
        port: options.port ?? portOf(environment),
        hosts: listOf(environment.BERTH_HOSTS),
        origins: listOf(environment.BERTH_ORIGINS),
        jwks: jwksOf(environment),
      }
      const { openServer } = await import("./server.ts")
      const waits = { until: options.until }
      const server = await openServer({ ...serverOptions(options, environment), logger, door, waits })
      const token = await server.mint(LOCAL, TOKEN_LIFE_MS)
      return { url: server.url ?? "", token, pid: process.pid, dataDir: server.dataDir, ...closedOf(server) }
    },
    mintToken: async ({ dataDir, laneMax, lifeMs, owner, role }) =>
      mintToken(await secretOf(dataDirOf(dataDir, environment)), { owner, role, laneMax }, Date.now(), lifeMs),
    doctor: async ({ dataDir }) => {
      const { diagnose } = await import("./doctor.ts")
      return diagnose(dataDirOf(dataDir, environment), { engine: environment.DOCKER_HOST ?? DEFAULT_ENGINE })
    },
    rotateSecretsKey: async ({ dataDir }) => {
      const { rotateKey } = await import("../../store/sqlite/index.ts")
      return Effect.runPromise(rotateKey(dataDirOf(dataDir, environment), Date.now()))
    },
    brokerPermissions: async (cluster, roles) => {
      const { permissionsOf, permissionsText } = await import("../../store/jetstream/permissions.ts")
      const permissions = permissionsOf(cluster, roles)
      return { ...permissions, text: permissionsText(permissions) }
    },
    backup: async ({ dataDir, to }) => {
      const { backup } = await import("../../store/sqlite/index.ts")
      await Effect.runPromise(backup(dataDirOf(dataDir, environment), to))
      return { bytes: await bytesBelow(to) }
    },
    restore: async ({ dataDir, from }) => {
      const target = dataDirOf(dataDir, environment)
      const { restore } = await import("../../store/sqlite/index.ts")
      await Effect.runPromise(restore(from, target))
      return { dataDir: target }
    },
  }
}
