/** How flags, variables and the library's options name a cluster. */
import { readFileSync } from "node:fs"
import { berthError } from "../../core/errors.ts"
import { type Role, ROLES } from "../../core/words.ts"
import { secretOf } from "../server/secret.ts"
import type { DialOptions } from "../../store/jetstream/index.ts"
import type { ClusterChoice } from "./cluster.ts"

/** A broker, who one is there, and what is made of it. */
export interface NatsOptions extends Omit<DialOptions, "servers" | "name"> {
  /** `nats://host:4222`, one or more of the same cluster of servers; may carry `user:password@`. */
  readonly servers: string | readonly string[]
  /** Names the streams, so that several clusters may share a broker. Default `main`. */
  readonly cluster?: string
  /** Copies of each stream: 1, 3 or 5. Default: as they are, and 1 where they are made. */
  readonly replicas?: number
  /** Monitoring addresses. Default: port 8222 of the servers. They say whether an acknowledgement means a disk. */
  readonly monitors?: readonly string[]
}

export interface ClusterWish {
  readonly nats: NatsOptions
  readonly roles: readonly string[]
  /** As `BERTH_SECRET_FILE` holds it; null: the cluster's own key. */
  readonly secret: { readonly text: string; readonly source: string } | null
  readonly place: ClusterChoice["place"]
}

const DEFAULT_CLUSTER = "main"
const REPLICAS = [1, 3, 5]

const invalid = (path: string, message: string) => berthError("CONFIG_INVALID", message, { path })

/** @throws BerthError CONFIG_INVALID naming what is wrong */
export function clusterChoice({ nats, place, roles, secret }: ClusterWish): ClusterChoice {
  const servers = typeof nats.servers === "string" ? [nats.servers] : nats.servers
  if (servers.length === 0) throw invalid("nats", "a cluster needs the address of a NATS server")
  const { cluster = DEFAULT_CLUSTER, replicas, ...rest } = nats
  if (replicas !== undefined && !REPLICAS.includes(replicas))
    throw invalid("replicas", `replicas must be 1, 3 or 5, not ${replicas}`)
  return {
    broker: { ...rest, servers, cluster, ...(replicas === undefined ? {} : { replicas }) },
    roles: rolesNamed(roles),
    secret: secret === null ? null : secretOf(secret.text, secret.source),
    place,
  }
}

/** Copies of the log from which on servers may be busy for up to 9 s agreeing on who leads a stream: a worker's lease has to outlast that. */
const MANY_REPLICAS = 3

/** Variables as they are, with what a log of so many copies wants where nobody says otherwise. */
export const clusterEnvironment = (environment: Environment, replicas: number): Environment =>
  replicas < MANY_REPLICAS ? environment : { BERTH_LEASE_MS: "20000", ...environment }

/** Of none that are named: all. */
function rolesNamed(names: readonly string[]): readonly Role[] {
  const unknown = names.find((name) => !ROLES.some((role) => role === name))
  if (unknown !== undefined) throw invalid("roles", `roles are ${ROLES.join(", ")}, not ${unknown}`)
  return names.length === 0 ? ROLES : ROLES.filter((role) => names.includes(role))
}

/** The operator's own key of tokens, from the file or the variable that names it. */
export function secretGiven(file: string | undefined, environment: Environment): ClusterWish["secret"] {
  const path = file ?? environment.BERTH_SECRET_FILE
  if (path === undefined || path === "")
    return environment.BERTH_SECRET ? { text: environment.BERTH_SECRET, source: "BERTH_SECRET" } : null
  try {
    return { text: readFileSync(path, "utf8"), source: path }
  } catch (cause) {
    throw berthError("CONFIG_INVALID", `${path} cannot be read`, { cause, path: "secret-file" })
  }
}

type Environment = Readonly<Record<string, string | undefined>>

/** What the command line and the environment say of a cluster. */
export interface ClusterFlags {
  readonly dataDir?: string | undefined
  readonly nats?: readonly string[]
  readonly natsMonitors?: readonly string[]
  readonly natsCreds?: string | undefined
  readonly natsNkey?: string | undefined
  readonly natsCa?: string | undefined
  readonly natsCert?: string | undefined
  readonly natsKey?: string | undefined
  readonly cluster?: string | undefined
  readonly replicas?: number | undefined
  readonly roles?: readonly string[]
  readonly secretFile?: string | undefined
}

/** The cluster that `serve` joins; null where neither flags nor environment name a broker. */
export function clusterOfFlags(flags: ClusterFlags, environment: Environment): ClusterChoice | null {
  const listed = (given: readonly string[] | undefined, variable: string): readonly string[] =>
    given !== undefined && given.length > 0
      ? given
      : (environment[variable] ?? "").split(",").filter((one) => one !== "")
  const one = (given: string | undefined, variable: string): string | undefined =>
    given ?? (environment[variable] === "" ? undefined : environment[variable])
  const servers = listed(flags.nats, "BERTH_NATS")
  if (servers.length === 0) return null
  const monitors = listed(flags.natsMonitors, "BERTH_NATS_MONITOR")
  const replicas = flags.replicas ?? one(undefined, "BERTH_REPLICAS")
  const tls = defined({
    ca: one(flags.natsCa, "BERTH_NATS_CA"),
    cert: one(flags.natsCert, "BERTH_NATS_CERT"),
    key: one(flags.natsKey, "BERTH_NATS_KEY"),
  })
  return clusterChoice({
    nats: {
      servers,
      ...defined({
        credentialsFile: one(flags.natsCreds, "BERTH_NATS_CREDS"),
        nkeyFile: one(flags.natsNkey, "BERTH_NATS_NKEY"),
        token: one(undefined, "BERTH_NATS_TOKEN"),
        cluster: one(flags.cluster, "BERTH_CLUSTER"),
      }),
      ...(Object.keys(tls).length === 0 ? {} : { tls }),
      ...(monitors.length === 0 ? {} : { monitors }),
      ...(replicas === undefined ? {} : { replicas: Number(replicas) }),
    },
    roles: listed(flags.roles, "BERTH_ROLES"),
    secret: secretGiven(flags.secretFile, environment),
    place: one(flags.dataDir, "BERTH_DATA") === undefined ? "below" : "own",
  })
}

type Defined<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> }
const defined = <T extends Readonly<Record<string, string | undefined>>>(all: T): Defined<T> =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Defined<T>
