import type { StreamConfig, StreamInfo } from "@nats-io/jetstream"
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Durability, EventLog } from "../../core/ports/eventLog.ts"
import { hostsOf } from "./dial.ts"
import type { Link } from "./link.ts"

const ASK_MS = 3_000
/** Where a server's monitoring is by convention. */
const MONITOR_PORT = 8222

interface ServerVars {
  readonly server_name?: string
  readonly jetstream?: { readonly config?: { readonly sync_always?: boolean } }
}

/** Where to ask when nobody says: the usual port of the servers that we connect to. A stranger there has another name. */
export const usualMonitors = (servers: readonly string[]): readonly string[] =>
  hostsOf(servers).map((host) => `http://${host}:${MONITOR_PORT}`)

/** How entries are kept: what the log's port says of itself. */
export type Kept = Pick<EventLog["Service"], "durability" | "replicas">

/**
 * What a returned append means on this broker, and in how many copies. The protocol itself does not tell whether it means a
 * disk, so the servers' monitoring ports are asked: `fsynced` only if each server that holds the stream says that it syncs always, `page-cache` as soon as one says that it does
 * not, `unknown` where one does not say.
 *
 * @param monitors - `http://host:8222` of the servers
 */
export const readKept = (link: Link, stream: string, monitors: readonly string[]): Effect.Effect<Kept, BerthError> =>
  Effect.gen(function* () {
    const info = yield* link.ask("asking where the log is", () => link.jsm.streams.info(stream))
    return { durability: yield* durabilityOf(link, info, monitors), replicas: info.config.num_replicas }
  })

const durabilityOf = (
  link: Link,
  { cluster, config }: StreamInfo,
  monitors: readonly string[],
): Effect.Effect<Durability> =>
  Effect.gen(function* () {
    if (leavesSyncing(config)) return "page-cache"
    const single = (link.connection.info as { readonly server_name?: string } | undefined)?.server_name
    const holders = [cluster?.leader ?? single, ...(cluster?.replicas ?? []).map(({ name }) => name)]
    const asked = yield* Effect.forEach(monitors, askMonitor, { concurrency: "unbounded" })
    const syncs = holders.map(
      (name) => asked.find((vars) => name !== undefined && vars.server_name === name)?.jetstream?.config,
    )
    if (syncs.some((config) => config !== undefined && config.sync_always !== true)) return "page-cache"
    return syncs.every((config) => config?.sync_always === true) ? "fsynced" : "unknown"
  })

/** A stream can be told to leave syncing to the system, whatever its server does. */
const leavesSyncing = (config: StreamConfig): boolean => config.persist_mode === "async"

/** A monitor that does not answer, or not like one, says nothing. */
const askMonitor = (url: string): Effect.Effect<ServerVars> =>
  Effect.tryPromise(async () => {
    const answer = await fetch(new URL("/varz", url), { signal: AbortSignal.timeout(ASK_MS) })
    return ((await answer.json()) ?? {}) as ServerVars
  }).pipe(Effect.orElseSucceed(() => ({})))
