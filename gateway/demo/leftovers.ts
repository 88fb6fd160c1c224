import { readdirSync, readFileSync } from "node:fs"
import type { FoundEngine } from "../provision/engine.ts"
import { callEngine } from "../provision/engineClient.ts"

const CALL_MS = 20_000

/** Ids of all containers that carry this cluster's label, in whatever state, as the engine tells it. */
export async function containersOf(engine: FoundEngine, clusterId: string): Promise<readonly string[]> {
  const filters = JSON.stringify({ label: [`berth.cluster=${clusterId}`] })
  const query = [["all", "1"] as const, ["filters", filters] as const]
  const reply = await callEngine(engine.address, {
    method: "GET",
    path: "/containers/json",
    query,
    timeoutMs: CALL_MS,
  })
  if (reply.status !== 200) throw new Error(`the engine does not list its containers: ${reply.status} ${reply.text}`)
  return (JSON.parse(reply.text) as readonly { readonly Id: string }[]).map((container) => container.Id)
}

/** Removes containers by force; for a demo that was broken off. */
export async function removeContainers(engine: FoundEngine, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const query = [["force", "1"] as const, ["v", "1"] as const]
    await callEngine(engine.address, { method: "DELETE", path: `/containers/${id}`, query, timeoutMs: CALL_MS })
  }
}

/**
 * Processes that have the demo's own data directory in their command line or environment, and are not this one: its
 * server, or a program that nobody looks after. Null where the system has no /proc to look in.
 */
export function processesOf(dataDir: string): readonly number[] | null {
  const pids = pidsOfSystem()
  return pids?.filter((pid) => pid !== process.pid && mentions(pid, dataDir)) ?? null
}

function pidsOfSystem(): readonly number[] | null {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
  } catch {
    return null
  }
}

function mentions(pid: number, text: string): boolean {
  try {
    return ["cmdline", "environ"].some((file) => readFileSync(`/proc/${pid}/${file}`, "latin1").includes(text))
  } catch {
    // It has ended meanwhile, or belongs to somebody else.
    return false
  }
}
