import type { ContainerCreateOptions, ContainerInspectInfo } from "dockerode"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { EffectivePolicy } from "../../../core/task/result.ts"
import type { Isolation } from "../../../core/words.ts"
import { LOADER_VARIABLES } from "./profile.ts"
import { SECCOMP_HASH, SECCOMP_PROFILE } from "./seccomp.ts"

/**
 * Reads a created container back and compares it, field by field, with what was asked for.
 *
 *   EF1. A field of the sandbox that the engine did not take is PROFILE_NOT_TAKEN, naming the field: never a weaker sandbox.
 *   EF2. Swap is the one exception: kernels without swap accounting cannot limit it. The policy then says so.
 *   EF3. What was not asked for and would weaken it (another's namespaces, devices, ports, groups) must not be there either.
 *   EF4. The effective policy is made from what was read back, not from what was asked for.
 */

type Wanted = ContainerCreateOptions

/** Engines write "nothing" as null, 0, "", false, an empty list or an empty object, and add such fields. */
function canonical(value: unknown): unknown {
  if (value === null || value === undefined || value === "" || value === false || value === 0) return null
  if (Array.isArray(value)) return value.length === 0 ? null : value.map(canonical)
  if (typeof value === "object") {
    const entries = Object.entries(value)
      .map(([name, inner]) => [name, canonical(inner)] as const)
      .filter(([, inner]) => inner !== null)
      .sort(([a], [b]) => (a < b ? -1 : 1))
    return entries.length === 0 ? null : Object.fromEntries(entries)
  }
  return value
}

const same = (wanted: unknown, found: unknown): boolean =>
  JSON.stringify(canonical(wanted)) === JSON.stringify(canonical(found))

const CONFIG_FIELDS = [
  "User",
  "WorkingDir",
  "Entrypoint",
  "Cmd",
  "Tty",
  "OpenStdin",
  "StdinOnce",
  "StopSignal",
  "NetworkDisabled",
] as const
/** EF3. */
const UNASKED_FIELDS = [
  "PidMode",
  "UTSMode",
  "UsernsMode",
  "Devices",
  "DeviceRequests",
  "DeviceCgroupRules",
  "GroupAdd",
  "VolumesFrom",
  "Links",
  "PortBindings",
  "PublishAllPorts",
  "CgroupParent",
] as const
const NOT_COMPARED = new Set(["MemorySwap", "Tmpfs", "Mounts"])

/** The engine adds the image's own variables; of those that load code only ours may have a value. */
function sameEnv(wanted: readonly string[], found: readonly string[]): boolean {
  const loads = (line: string) => LOADER_VARIABLES.some((name) => line.startsWith(`${name}=`) && line !== `${name}=`)
  return wanted.every((line) => found.includes(line)) && found.every((line) => wanted.includes(line) || !loads(line))
}

/** @returns the names of fields that differ, empty when the engine took everything */
export function differences(wanted: Wanted, found: ContainerInspectInfo): string[] {
  const differing: string[] = []
  const check = (name: string, asked: unknown, got: unknown) => {
    if (!same(asked, got)) differing.push(name)
  }
  for (const name of CONFIG_FIELDS) check(name, wanted[name], found.Config[name as keyof typeof found.Config])
  if (!sameEnv(wanted.Env ?? [], found.Config.Env ?? [])) differing.push("Env")
  // An image's intervals stay beside our NONE; without a test they mean nothing.
  check("Healthcheck", wanted.Healthcheck?.Test, found.Config.Healthcheck?.Test)
  for (const [name, value] of Object.entries(wanted.Labels ?? {}))
    check(`Labels.${name}`, value, found.Config.Labels[name])
  const got = found.HostConfig as unknown as Record<string, unknown>
  for (const [name, value] of Object.entries(wanted.HostConfig ?? {})) {
    if (!NOT_COMPARED.has(name)) check(name, value, got[name])
  }
  for (const name of UNASKED_FIELDS) check(name, wanted.HostConfig?.[name], got[name])
  check("Tmpfs", wanted.HostConfig?.Tmpfs, got["Tmpfs"])
  if ((found.Mounts ?? []).some((mount) => (mount as { Type?: string }).Type !== "tmpfs")) differing.push("Mounts")
  return differing
}

/** EF1. */
export function profileError(wanted: Wanted, found: ContainerInspectInfo): BerthError | null {
  const differing = differences(wanted, found)
  return differing.length === 0
    ? null
    : berthError("PROFILE_NOT_TAKEN", `the engine did not take ${differing.join(", ")} of the sandbox`)
}

/** EF4. Small and flat: it rides in every result. */
export function effectivePolicy(found: ContainerInspectInfo, isolation: Isolation): EffectivePolicy {
  const host = found.HostConfig
  const options: readonly string[] = host.SecurityOpt ?? []
  const seccomp = options.find((option) => option.startsWith("seccomp="))?.slice("seccomp=".length)
  const named = (prefix: string) => options.find((option) => option.startsWith(prefix))?.slice(prefix.length) ?? "none"
  return {
    isolation,
    runtime: host.Runtime ?? "",
    user: found.Config.User,
    network: host.NetworkMode ?? "",
    readonlyRoot: host.ReadonlyRootfs === true,
    capabilitiesDropped: host.CapDrop ?? [],
    noNewPrivileges: options.some((option) => option.startsWith("no-new-privileges")),
    seccomp: seccomp === SECCOMP_PROFILE ? SECCOMP_HASH : "other",
    apparmor: named("apparmor="),
    pidsMax: host.PidsLimit ?? 0,
    memoryBytes: host.Memory ?? 0,
    memorySwapBytes: host.MemorySwap ?? 0,
    cpuMilli: (host.NanoCpus ?? 0) / 1_000_000,
    cpuShares: host.CpuShares ?? 0,
    oomScoreAdj: host.OomScoreAdj ?? 0,
    ipc: host.IpcMode ?? "",
    tmpfs: Object.keys(host.Tmpfs ?? {}),
    ulimits: (host.Ulimits ?? []).map((limit) => `${limit.Name}=${limit.Hard}`),
    init: host.Init === true,
    maskedPaths: host.MaskedPaths?.length ?? 0,
    readonlyPaths: host.ReadonlyPaths?.length ?? 0,
    logBytesMax: logBytesMax(host.LogConfig),
  }
}

/** `local` keeps `max-file` files of `max-size` mebibytes, as asked for; -1 for any other way to keep logs. */
function logBytesMax(log: ContainerInspectInfo["HostConfig"]["LogConfig"]): number {
  const { "max-file": files = "", "max-size": size = "" } = (log?.Config ?? {}) as Record<string, string>
  const mebibytes = /^(\d+)m$/.exec(size)?.[1]
  return log?.Type === "local" && mebibytes !== undefined ? Number(mebibytes) * Number(files) * 1024 * 1024 : -1
}
