import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import { CALLS, type Engine } from "./client.ts"

/** What the engine says about itself: for the choice of a runtime, for `system.info`, and for `berth doctor`. */
export interface EngineFacts {
  readonly engineId: string
  readonly engineVersion: string
  readonly apiVersion: string
  readonly runcVersion: string | null
  readonly containerdVersion: string | null
  readonly kernelVersion: string
  readonly architecture: string
  readonly operatingSystem: string
  readonly cgroupVersion: string
  /** OCI runtimes by name. */
  readonly runtimes: readonly string[]
  readonly defaultRuntime: string
  /** Active Linux security modules that the engine uses: `apparmor`, `selinux`. */
  readonly securityModules: readonly string[]
  readonly seccomp: boolean
  readonly rootless: boolean
  readonly userNamespaces: boolean
  readonly liveRestore: boolean
  readonly swapLimit: boolean
  readonly storageDriver: string
  readonly cpus: number
  readonly memoryBytes: number
  /** Where the engine keeps everything. */
  readonly rootDir: string
  /** Its clock when it answered. */
  readonly systemTimeMs: number
}

interface Info {
  readonly ID: string
  readonly ServerVersion: string
  readonly KernelVersion: string
  readonly Architecture: string
  readonly OperatingSystem: string
  readonly CgroupVersion?: string
  readonly Runtimes?: Record<string, unknown>
  readonly DefaultRuntime?: string
  readonly SecurityOptions?: readonly string[]
  readonly LiveRestoreEnabled?: boolean
  readonly SwapLimit?: boolean
  readonly Driver: string
  readonly NCPU: number
  readonly MemTotal: number
  readonly DockerRootDir?: string
  readonly SystemTime?: string
}

interface Version {
  readonly ApiVersion: string
  readonly Components?: readonly { readonly Name: string; readonly Version: string }[]
}

/** Pure: the two answers of the engine as facts. */
export function factsOf(info: Info, version: Version): EngineFacts {
  const component = (name: string) => version.Components?.find((part) => part.Name === name)?.Version ?? null
  const options = (info.SecurityOptions ?? []).map((option) => /name=([^,]+)/.exec(option)?.[1] ?? option)
  return {
    engineId: info.ID,
    engineVersion: info.ServerVersion,
    apiVersion: version.ApiVersion,
    runcVersion: component("runc"),
    containerdVersion: component("containerd"),
    kernelVersion: info.KernelVersion,
    architecture: info.Architecture,
    operatingSystem: info.OperatingSystem,
    cgroupVersion: info.CgroupVersion ?? "1",
    runtimes: Object.keys(info.Runtimes ?? {}),
    defaultRuntime: info.DefaultRuntime ?? "runc",
    securityModules: options.filter((name) => name === "apparmor" || name === "selinux"),
    seccomp: options.includes("seccomp"),
    rootless: options.includes("rootless"),
    userNamespaces: options.includes("userns"),
    liveRestore: info.LiveRestoreEnabled === true,
    swapLimit: info.SwapLimit !== false,
    storageDriver: info.Driver,
    cpus: info.NCPU,
    memoryBytes: info.MemTotal,
    rootDir: info.DockerRootDir ?? "",
    systemTimeMs: Date.parse(info.SystemTime ?? ""),
  }
}

export const askFacts = (engine: Engine): Effect.Effect<EngineFacts, BerthError> =>
  Effect.map(
    Effect.all([
      engine.call(CALLS.info, () => engine.docker.info() as Promise<Info>),
      engine.call(CALLS.info, () => engine.docker.version() as unknown as Promise<Version>),
    ]),
    ([info, version]) => factsOf(info, version),
  )

export interface CachedFacts {
  /** As last heard; asked for if nothing was heard yet. */
  readonly known: Effect.Effect<EngineFacts, BerthError>
  /** Asked anew, and known from then on: an engine that was started again may have other runtimes. */
  readonly fresh: Effect.Effect<EngineFacts, BerthError>
}

export function cachedFacts(engine: Engine): CachedFacts {
  let heard: EngineFacts | null = null
  const fresh = Effect.tap(askFacts(engine), (facts) =>
    Effect.sync(() => {
      heard = facts
    }),
  )
  return { fresh, known: Effect.suspend(() => (heard === null ? fresh : Effect.succeed(heard))) }
}
