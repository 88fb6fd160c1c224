import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { runCommand } from "./command.ts"
import { findProgram } from "./debian.ts"
import { stateDir } from "./stateDir.ts"

/** A broker's server program. */
export interface FoundNats {
  readonly path: string
  readonly version: string
}

/** The two that are worth having: the newest there is, and the oldest series that is supported. */
export type NatsSeries = "newest" | "2.10"

/** Older ones lost whole streams when they were killed. */
export const VERSION_MIN = "2.10.23"

const numbers = (version: string): readonly number[] => version.split(".").map((part) => Number.parseInt(part, 10) || 0)

/** Negative when `a` is older than `b`, positive when it is newer. */
export const compareVersions = (a: string, b: string): number => {
  const [left, right] = [numbers(a), numbers(b)]
  for (let index = 0; index < 3; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** What the program at `path` says that it is; null when it is no server that runs here. */
export const askNats = async (path: string): Promise<FoundNats | null> => {
  const result = await runCommand([path, "--version"], { timeoutMs: 5_000 })
  const version = /v?(\d+\.\d+\.\d+)/.exec(result.stdout)?.[1]
  return result.code === 0 && version !== undefined ? { path, version } : null
}

/** Where unpacked servers are kept, each below a folder of its version. */
export const cacheDir = (): string => join(stateDir(), "nats")

/** Servers that were unpacked before. A cache that is not there or cannot be read holds none. */
const cachedServers = (): readonly string[] => {
  try {
    return readdirSync(cacheDir())
      .map((name) => join(cacheDir(), name, "nats-server"))
      .filter((path) => existsSync(path))
  } catch {
    return []
  }
}

/** Servers on PATH and in the cache that are new enough, the newest first. */
export const findNats = async (): Promise<readonly FoundNats[]> => {
  const onPath = findProgram("nats-server")
  const asked = await Promise.all([...(onPath === null ? [] : [onPath]), ...cachedServers()].map(askNats))
  return asked
    .filter((found) => found !== null)
    .filter((found) => compareVersions(found.version, VERSION_MIN) >= 0)
    .sort((a, b) => compareVersions(b.version, a.version))
}

/** Whether a server belongs to the series. */
export const serves = (series: NatsSeries, found: FoundNats): boolean =>
  series === "newest" || found.version.startsWith(`${series}.`)
