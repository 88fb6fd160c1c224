import type { ContainerCreateOptions, HostConfig } from "dockerode"
import type { ResourceLimits } from "../../../core/task/spec.ts"
import { LABEL } from "./names.ts"
import { SECCOMP_HASH, SECCOMP_PROFILE } from "./seccomp.ts"

/**
 * The sandbox: what every container is created with, each field on purpose. A pure function of its input; `effective.ts`
 * reads every one of these fields back.
 *
 *   PR1. Nothing that a user sent is in here, except an image task's command where the image has no shell.
 *   PR2. What the image itself sets (user, entry point, volumes, health check, loader variables) never applies.
 *   PR3. One user id per slot: kernel quotas of one user are shared by all its processes, in whatever container.
 */
export interface ProfileInput {
  readonly name: string
  readonly cluster: string
  readonly worker: string
  readonly pool: string
  /** Image id, never a name: names move. */
  readonly imageId: string
  /** `Config.Volumes` of the image. */
  readonly imageVolumes: readonly string[]
  /** `Config.Env` of the image. */
  readonly imageEnv: readonly string[]
  readonly uid: number
  /** Null for what has no slot, such as a probe. */
  readonly uidBlock: number | null
  readonly limits: ResourceLimits
  readonly argv: readonly string[]
  /** Only for images without a shell; all other environment comes through stdin. */
  readonly env: Readonly<Record<string, string>>
  readonly feeds: boolean
  /** OCI runtime by the engine's name for it. */
  readonly runtime: string
  readonly apparmor: boolean
}

/** Raised when a field changes, so that containers of different profiles can be told apart. */
export const PROFILE_VERSION = `1-${SECCOMP_HASH}`

/** Variables through which an image could load code into our bootstrap or into every program. */
export const LOADER_VARIABLES = [
  "LD_PRELOAD",
  "LD_LIBRARY_PATH",
  "LD_AUDIT",
  "NODE_OPTIONS",
  "BASH_ENV",
  "ENV",
  "PYTHONSTARTUP",
  "PERL5OPT",
  "RUBYOPT",
  "JAVA_TOOL_OPTIONS",
]

const MASKED_PATHS = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
]
const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

const INODES_MAX = 16_384
/** Half of the default: under load the control plane goes first. */
const CPU_SHARES = 512
const FILE_BYTES_MAX = 64 * 1024 * 1024

const ulimit = (Name: string, value: number) => ({ Name, Soft: value, Hard: value })

function tmpfsOf(input: ProfileInput): Record<string, string> {
  const owned = `nr_inodes=${INODES_MAX},uid=${input.uid},gid=${input.uid},mode=0755`
  const usual = `rw,exec,nosuid,nodev,size=${input.limits.tmpfsBytes},${owned}`
  const tmpfs: Record<string, string> = { "/box": usual, "/tmp": usual }
  for (const volume of input.imageVolumes)
    tmpfs[volume] ??= `rw,noexec,nosuid,nodev,size=${Math.min(input.limits.tmpfsBytes, 16 * 1024 * 1024)},${owned}`
  return tmpfs
}

function environmentOf(input: ProfileInput): string[] {
  const set = new Set(input.imageEnv.map((line) => line.split("=", 1)[0]))
  const blanked = LOADER_VARIABLES.filter((name) => set.has(name) && !(name in input.env)).map((name) => `${name}=`)
  return [...blanked, ...Object.entries(input.env).map(([name, value]) => `${name}=${value}`)]
}

function hostConfigOf(input: ProfileInput): HostConfig {
  const { limits } = input
  return {
    NetworkMode: "none",
    ReadonlyRootfs: true,
    CapDrop: ["ALL"],
    CapAdd: [],
    SecurityOpt: [
      "no-new-privileges",
      `seccomp=${SECCOMP_PROFILE}`,
      ...(input.apparmor ? ["apparmor=docker-default"] : []),
    ],
    Privileged: false,
    PidsLimit: limits.pidsMax,
    Memory: limits.memoryBytes,
    MemorySwap: limits.memoryBytes,
    NanoCpus: limits.cpuMilli * 1_000_000,
    CpuShares: CPU_SHARES,
    OomScoreAdj: 500,
    IpcMode: "none",
    Tmpfs: tmpfsOf(input),
    Ulimits: [
      ulimit("nofile", 1_024),
      ulimit("core", 0),
      ulimit("fsize", Math.max(FILE_BYTES_MAX, limits.tmpfsBytes)),
      ulimit("memlock", 64 * 1024),
      ulimit("msgqueue", 0),
    ],
    MaskedPaths: MASKED_PATHS,
    ReadonlyPaths: READONLY_PATHS,
    Init: true,
    AutoRemove: false,
    RestartPolicy: { Name: "no" },
    LogConfig: { Type: "local", Config: { "max-size": "4m", "max-file": "2" } },
    Binds: [],
    Mounts: [],
    Devices: [],
    Dns: [],
    ExtraHosts: [],
    Sysctls: {},
    Runtime: input.runtime,
  }
}

/** @returns the body of the engine's create call */
export const createOptions = (input: ProfileInput): ContainerCreateOptions & { readonly HostConfig: HostConfig } => ({
  name: input.name,
  Image: input.imageId,
  User: `${input.uid}:${input.uid}`,
  WorkingDir: "/",
  Entrypoint: [...input.argv],
  Cmd: [],
  Env: environmentOf(input),
  Labels: {
    [LABEL.cluster]: input.cluster,
    [LABEL.worker]: input.worker,
    [LABEL.pool]: input.pool,
    [LABEL.profile]: PROFILE_VERSION,
    ...(input.uidBlock === null ? {} : { [LABEL.uids]: String(input.uidBlock) }),
  },
  Healthcheck: { Test: ["NONE"] },
  Tty: false,
  OpenStdin: input.feeds,
  StdinOnce: input.feeds,
  AttachStdin: input.feeds,
  AttachStdout: true,
  AttachStderr: true,
  StopSignal: "SIGTERM",
  NetworkDisabled: true,
  HostConfig: hostConfigOf(input),
})
