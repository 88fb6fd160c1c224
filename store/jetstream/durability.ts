import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Link } from "./link.ts"

const ASK_MS = 3_000

interface ServerVars {
  readonly server_name?: string
  readonly jetstream?: { readonly config?: { readonly sync_always?: boolean } }
}

/**
 * What a returned append means on this broker: `fsynced` only if every server that holds the stream says on its monitoring
 * port that it syncs always. The protocol itself does not tell, so without monitors the answer is the lesser one.
 *
 * @param monitors - `http://host:8222` of the servers
 */
export const readDurability = (
  link: Link,
  stream: string,
  monitors: readonly string[],
): Effect.Effect<"fsynced" | "page-cache", BerthError> =>
  Effect.gen(function* () {
    const { cluster } = yield* link.ask("asking where the log is", () => link.jsm.streams.info(stream))
    const single = (link.connection.info as { readonly server_name?: string } | undefined)?.server_name
    const holders = [cluster?.leader ?? single, ...(cluster?.replicas ?? []).map(({ name }) => name)]
    const asked = yield* Effect.forEach(monitors, askMonitor, { concurrency: "unbounded" })
    const syncing = new Set(
      asked.filter((vars) => vars.jetstream?.config?.sync_always === true).map((vars) => vars.server_name),
    )
    return holders.every((name) => name !== undefined && syncing.has(name)) ? "fsynced" : "page-cache"
  })

/** A monitor that does not answer says nothing: then less is promised. */
const askMonitor = (url: string): Effect.Effect<ServerVars> =>
  Effect.tryPromise(async () => {
    const answer = await fetch(new URL("/varz", url), { signal: AbortSignal.timeout(ASK_MS) })
    return (await answer.json()) as ServerVars
  }).pipe(Effect.orElseSucceed(() => ({})))
