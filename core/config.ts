import { berthError } from "./errors.ts"

/** One number that an operator may set: meaning, unit (in the name), default and limits. */
interface Setting {
  readonly help: string
  readonly value: number
  readonly min: number
  readonly max: number
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const MIB = 1024 * 1024

/** Everything that can be set. The environment variable of `slots` is `BERTH_SLOTS`, of `ownerSlotsMax` `BERTH_OWNER_SLOTS_MAX`. */
export const SETTINGS = {
  slots: { help: "Attempts at once on this worker.", value: 8, min: 1, max: 1_000 },
  lookahead: {
    help: "Wake-ups admitted beyond the free slots, so that a worker need not wait for the next decision.",
    value: 2,
    min: 0,
    max: 100,
  },
  ownerSlotsMax: { help: "Slots that one owner may hold at once.", value: 64, min: 1, max: 1_000_000 },
  ownerPendingMax: { help: "Tasks of one owner that may wait at once.", value: 100_000, min: 1, max: 100_000_000 },
  starvationMax: {
    help: "Admissions of higher lanes after which a waiting lower lane gets one.",
    value: 64,
    min: 1,
    max: 1_000_000,
  },
  timeoutMs: { help: "Time limit of an attempt that names none.", value: 60_000, min: 1, max: DAY_MS },
  timeoutMsMax: { help: "Longest time limit that a task may ask for.", value: 24 * HOUR_MS, min: 1, max: 7 * DAY_MS },
  graceMs: { help: "From SIGTERM to SIGKILL, for a task that names none.", value: 2_000, min: 0, max: 60_000 },
  overdueMs: {
    help: "After time limit and grace, and all that a container's start may take, until the leader ends an attempt whose worker says nothing.",
    value: 30_000,
    min: 1_000,
    max: HOUR_MS,
  },
  memoryBytes: {
    help: "Memory of an attempt that names none.",
    value: 256 * MIB,
    min: 16 * MIB,
    max: 1024 * 1024 * MIB,
  },
  memoryBytesMax: {
    help: "Most memory that a task may ask for.",
    value: 4096 * MIB,
    min: 16 * MIB,
    max: 1024 * 1024 * MIB,
  },
  cpuMilli: {
    help: "CPU of an attempt that names none, in thousandths of a core.",
    value: 1_000,
    min: 10,
    max: 1_000_000,
  },
  pidsMax: { help: "Processes and threads of an attempt that names no number.", value: 64, min: 8, max: 100_000 },
  tmpfsBytes: {
    help: "Size of /box and of /tmp each, unless the task names one.",
    value: 64 * MIB,
    min: MIB,
    max: 64 * 1024 * MIB,
  },
  outputFlushMs: { help: "Longest time that output waits to be written in one record.", value: 50, min: 1, max: 5_000 },
  idempotencyMs: {
    help: "How long a repeated submit is recognised.",
    value: 30 * DAY_MS,
    min: 60_000,
    max: 3_650 * DAY_MS,
  },
  outputKeepMs: {
    help: "How long the output and artifacts of a task at rest are kept.",
    value: 7 * DAY_MS,
    min: 1_000,
    max: 3_650 * DAY_MS,
  },
  taskKeepMs: {
    help: "How long a task at rest is kept before a tombstone takes its place.",
    value: 30 * DAY_MS,
    min: 1_000,
    max: 3_650 * DAY_MS,
  },
  leaseMs: {
    help: "How long a worker of a cluster may be silent before its tasks are taken over.",
    value: 10_000,
    min: 1_000,
    max: 10 * 60_000,
  },
  leaseGraceMs: {
    help: "Added to a worker's lease by whoever takes its right away.",
    value: 500,
    min: 100,
    max: 60_000,
  },
  reconcileMs: { help: "Between two passes of the reconciler.", value: 5_000, min: 100, max: HOUR_MS },
  retentionMs: { help: "Between two passes of retention.", value: 60_000, min: 100, max: DAY_MS },
  drainMs: {
    help: "How long a stopping server waits for running attempts before it detaches them.",
    value: 0,
    min: 0,
    max: HOUR_MS,
  },
  leaderLeaseMs: {
    help: "How long the leader of a cluster may be silent before another takes its place.",
    value: 4_000,
    min: 500,
    max: 60_000,
  },
  snapshotEntries: {
    help: "Log entries after which the leader of a cluster leaves a new snapshot of the read model.",
    value: 20_000,
    min: 100,
    max: 100_000_000,
  },
  pullMsMax: { help: "Longest pull of one image.", value: 10 * 60_000, min: 1_000, max: DAY_MS },
  pullsAtOnce: { help: "Images that are pulled at once.", value: 2, min: 1, max: 100 },
  readWaitMs: { help: "How long a read waits for the sequence that it asks for.", value: 5_000, min: 0, max: 60_000 },
} as const satisfies Record<string, Setting>

export type Config = { readonly [K in keyof typeof SETTINGS]: number }
export type ConfigInput = { readonly [K in keyof typeof SETTINGS]?: number | undefined }

export const variableName = (key: string): string =>
  `BERTH_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

/**
 * Resolves the configuration once: explicit values first, then environment variables, then defaults.
 *
 * @throws BerthError CONFIG_INVALID naming the setting or the variable
 */
export function resolveConfig(
  given: ConfigInput = {},
  environment: Readonly<Record<string, string | undefined>> = {},
): Config {
  const entries = Object.entries(SETTINGS).map(([key, setting]: [string, Setting]) => {
    const variable = variableName(key)
    const explicit = given[key as keyof Config]
    const fromEnvironment = environment[variable]
    const value =
      explicit ?? (fromEnvironment === undefined || fromEnvironment === "" ? setting.value : Number(fromEnvironment))
    if (Number.isInteger(value) && value >= setting.min && value <= setting.max) return [key, value] as const
    const name = explicit === undefined ? variable : key
    throw berthError(
      "CONFIG_INVALID",
      `${name} must be a whole number from ${setting.min} to ${setting.max}, not ${explicit ?? fromEnvironment}`,
      { path: name },
    )
  })
  return Object.fromEntries(entries) as Config
}
