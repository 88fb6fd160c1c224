/**
 * Whether images are pulled, and as whom: from the file that `docker login` writes, which `BERTH_REGISTRY_AUTH` names.
 *
 *   RG1. A file that is no such file stops the start, naming the variable and nothing of what it holds.
 *   RG2. It is read again when it has changed; one that became unreadable meanwhile leaves what was read last.
 */
import { readFileSync, statSync } from "node:fs"
import type { RegistryLogin } from "../../actors/executor/docker/options.ts"
import { berthError } from "../../core/errors.ts"

export interface Registries {
  /** Whether images that the engine lacks are pulled. */
  readonly pull: boolean
  readonly registryLogin: (image: string) => RegistryLogin | null
}

type Logins = ReadonlyMap<string, RegistryLogin>

const VARIABLE = "BERTH_REGISTRY_AUTH"
/** Docker Hub, which has several hosts below this name: one in such a file, another one that images come from. */
const HUB = "docker.io"
const isHub = (host: string): boolean => host === HUB || host.endsWith(`.${HUB}`)

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The registry that an image's name begins with: a part before the first slash that can be a host, else Docker Hub. */
export function registryOf(image: string): string {
  const [first = "", ...rest] = image.split("/")
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === "localhost")
  return isHost && !isHub(first) ? first : HUB
}

/** Keys of the file are hosts, or addresses with a scheme and a path. */
const hostOf = (key: string): string => {
  const host = key.replace(/^https?:\/\//, "").split("/")[0] ?? ""
  return isHub(host) ? HUB : host
}

function loginOf(key: string, entry: unknown): RegistryLogin | null {
  if (!isRecord(entry) || typeof entry["auth"] !== "string") return null
  const text = Buffer.from(entry["auth"], "base64").toString("utf8")
  const colon = text.indexOf(":")
  if (colon < 1) return null
  return { username: text.slice(0, colon), password: text.slice(colon + 1), serveraddress: key }
}

/** @throws BerthError CONFIG_INVALID */
function readLogins(path: string): Logins {
  const invalid = (message: string) =>
    berthError("CONFIG_INVALID", `${VARIABLE}: ${path} ${message}`, {
      path: VARIABLE,
      hint: "Name a file as `docker login` writes it, with its logins in `auths` and not in a credential helper.",
    })
  let parsed: unknown
  try {
    parsed = JSON.parse(readFileSync(path, "utf8"))
  } catch (cause) {
    // The parser's words may quote what it read.
    throw invalid(cause instanceof SyntaxError ? "is no JSON" : "cannot be read")
  }
  const auths = isRecord(parsed) ? parsed["auths"] : undefined
  if (!isRecord(auths)) throw invalid("has no `auths`")
  const logins = new Map<string, RegistryLogin>()
  for (const [key, entry] of Object.entries(auths)) {
    const login = loginOf(key, entry)
    if (login === null) throw invalid(`has no login for ${key}`)
    logins.set(hostOf(key), login)
  }
  return logins
}

/** @throws BerthError CONFIG_INVALID for a wrong `BERTH_PULL` or RG1 */
export function registriesOf(environment: Readonly<Record<string, string | undefined>>): Registries {
  const { BERTH_PULL: pull = "missing", BERTH_REGISTRY_AUTH: path = "" } = environment
  if (pull !== "missing" && pull !== "never" && pull !== "")
    throw berthError("CONFIG_INVALID", `BERTH_PULL must be missing or never, not ${pull}`, { path: "BERTH_PULL" })
  if (path === "") return { pull: pull !== "never", registryLogin: () => null }
  let readAtMs = statOf(path)
  let logins = readLogins(path)
  const current = (): Logins => {
    const changedAtMs = statOf(path)
    if (changedAtMs === readAtMs) return logins
    try {
      logins = readLogins(path)
      readAtMs = changedAtMs
    } catch {
      // RG2. It is looked at again with the next pull.
    }
    return logins
  }
  return { pull: pull !== "never", registryLogin: (image) => current().get(registryOf(image)) ?? null }
}

const statOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
