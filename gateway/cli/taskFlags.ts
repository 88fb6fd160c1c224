/** The flags that describe a task, for `run` and `submit` alike, and the request that they make. */
import type { Command } from "commander"
import { LIMITS } from "../../core/limits.ts"
import { RETRY_DEFAULT } from "../../core/policy/retry.ts"
import { RUNTIMES, runtimeByName, runtimeForFile } from "../../core/runtime/catalogue.ts"
import { ISOLATIONS, LANES } from "../../core/words.ts"
import type { FileRequest, SubmitRequest } from "../client/publicTypes.ts"
import { bytesField } from "./bytesField.ts"
import type { CliHost } from "./host.ts"
import {
  parseDurationMs,
  parseMomentMs,
  parsePairs,
  parseSizeBytes,
  parseWhole,
  parseWord,
  usageError,
} from "./quantities.ts"
import { readSource, readWhole } from "./sourceFiles.ts"

/** As commander hands them over: text, unread. */
export interface TaskFlags {
  readonly runtime?: string
  readonly entry?: string
  readonly image?: string
  readonly stdin?: string
  readonly arg?: readonly string[]
  readonly env?: readonly string[]
  readonly secret?: readonly string[]
  readonly label?: readonly string[]
  readonly lane?: string
  readonly pool?: string
  readonly require?: readonly string[]
  readonly timeout?: string
  readonly grace?: string
  readonly memory?: string
  readonly cpus?: string
  readonly pids?: string
  readonly tmpfs?: string
  readonly isolation?: string
  readonly retries?: string
  readonly retryDelay?: string
  readonly startAt?: string
  readonly startBy?: string
  readonly onLost?: string
  readonly key?: string
}

const gather = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

/** Declares the flags on a command. */
export const withTaskFlags = (command: Command): Command =>
  command
    .option(
      "--runtime <name>",
      `language: ${RUNTIMES.map((runtime) => runtime.name).join(", ")} (default: by the file's extension)`,
    )
    .option("--entry <path>", "which file of a folder is started")
    .option("--image <image>", "run a command in this image: `--image debian:12 -- ls -l`")
    .option("--stdin <file>", "what the program reads; - for our own standard input")
    .option("--arg <text>", "an argument of the program; several times", gather)
    .option("--env <name=value>", "an environment variable; NAME alone takes ours; several times", gather)
    .option("--secret <name>", "a secret that becomes an environment variable; several times", gather)
    .option("--label <name=value>", "a label to find the task by; several times", gather)
    .option("--lane <lane>", `priority: ${LANES.join(", ")} (default: normal)`)
    .option("--pool <name>", "workers that it goes to (default: default)")
    .option("--require <name=value>", "a label that its worker must have; several times", gather)
    .option("--timeout <duration>", "longest run of one attempt, such as 10s")
    .option("--grace <duration>", "from SIGTERM to SIGKILL, such as 2s")
    .option("--memory <size>", "memory of the program, such as 128m")
    .option("--cpus <number>", "share of the CPU, such as 0.5")
    .option("--pids <number>", "processes and threads")
    .option("--tmpfs <size>", "size of /box and of /tmp each")
    .option("--isolation <class>", `what it must be kept apart by: ${ISOLATIONS.join(", ")} (default: runc)`)
    .option("--retries <number>", "further attempts when one fails (default: 0)")
    .option("--retry-delay <duration>", "before the second attempt; grows with each (default: 1s)")
    .option("--start-at <when>", "not before: a time, or a duration from now")
    .option("--start-by <when>", "not after: a time, or a duration from now")
    .option("--on-lost <what>", "when its worker is lost: retry, fail (default: retry)")
    .option("--key <text>", "idempotency key: the same key and request give the same task")

/** The request that words and flags make. Rejects with INVALID_PARAMS, naming the flag, before anything is sent. */
export async function taskRequest(words: readonly string[], flags: TaskFlags, host: CliHost): Promise<SubmitRequest> {
  const args = flags.arg ?? []
  // A flag that cannot be read is said before any file is.
  const rest = { ...inputs(flags, host), ...policy(flags, host.nowMs()) }
  const program =
    flags.image === undefined ? await runtimeProgram(words, flags, args) : imageProgram(words, flags.image, flags, args)
  return { ...program, ...(await standardInput(flags.stdin, host)), ...rest }
}

function imageProgram(
  words: readonly string[],
  image: string,
  flags: TaskFlags,
  args: readonly string[],
): SubmitRequest {
  if (words.length === 0) throw usageError("--image", "needs a command: `--image IMAGE -- COMMAND …`")
  if (flags.runtime !== undefined) throw usageError("--runtime", "does not go with --image")
  if (flags.entry !== undefined) throw usageError("--entry", "does not go with --image")
  return { image, command: [...words], ...(args.length === 0 ? {} : { args }) }
}

async function runtimeProgram(
  words: readonly string[],
  flags: TaskFlags,
  args: readonly string[],
): Promise<SubmitRequest> {
  const [path, ...rest] = words
  if (path === undefined) throw usageError("FILE", "is missing: name a file or folder, or use --image")
  const { files, isFolder } = await readSource(path)
  const entry = isFolder ? folderEntry(files, flags) : (files[0] as FileRequest).path
  const runtime = flags.runtime ?? runtimeForFile(entry)?.name
  if (runtime === undefined)
    throw usageError("--runtime", `is needed: nothing is known of files like ${JSON.stringify(entry)}`)
  const all = [...args, ...rest]
  return { runtime, files, entry, ...(all.length === 0 ? {} : { args: all }) }
}

/** The file of a folder that is started: as asked for, or the runtime's main file, or the only one that fits. */
function folderEntry(files: readonly FileRequest[], flags: TaskFlags): string {
  const paths = files.map((file) => file.path)
  if (flags.entry !== undefined) {
    if (!paths.includes(flags.entry))
      throw usageError("--entry", `is not a file of the folder: ${JSON.stringify(flags.entry)}`)
    return flags.entry
  }
  const wanted = flags.runtime === undefined ? undefined : runtimeByName(flags.runtime)
  const candidates = wanted === undefined ? RUNTIMES : [wanted]
  const mains = paths.filter((path) => candidates.some((runtime) => runtime.mainFile === path))
  if (mains.length === 1) return mains[0] as string
  const fitting = paths.filter((path) => {
    const runtime = runtimeForFile(path)
    return runtime !== undefined && candidates.includes(runtime)
  })
  if (mains.length === 0 && fitting.length === 1) return fitting[0] as string
  throw usageError("--entry", "is needed: it is not clear which file of the folder is to be started")
}

function inputs(flags: TaskFlags, host: CliHost): Partial<SubmitRequest> {
  const env = (flags.env ?? []).map((text) => {
    if (text.includes("=")) return text
    const value = host.env[text]
    if (value === undefined)
      throw usageError("--env", `takes NAME=VALUE, or the name of a variable that is set, not ${JSON.stringify(text)}`)
    return `${text}=${value}`
  })
  return {
    ...(env.length === 0 ? {} : { env: parsePairs("--env", env) }),
    ...(flags.secret === undefined ? {} : { secrets: flags.secret }),
    ...(flags.label === undefined ? {} : { labels: parsePairs("--label", flags.label) }),
  }
}

async function standardInput(from: string | undefined, host: CliHost): Promise<Partial<SubmitRequest>> {
  if (from === undefined) return {}
  const bytes = from === "-" ? await host.stdin.readAll(LIMITS.programBytesMax) : await readWhole(from)
  const { content, encoding } = bytesField(bytes)
  return { stdin: content, ...(encoding === "utf8" ? {} : { stdinEncoding: encoding }) }
}

function policy(flags: TaskFlags, nowMs: number): Partial<SubmitRequest> {
  const limits = resourceLimits(flags)
  return {
    ...(flags.lane === undefined ? {} : { lane: parseWord("--lane", flags.lane, LANES) }),
    ...(flags.pool === undefined ? {} : { pool: flags.pool }),
    ...(flags.require === undefined ? {} : { requires: { labels: parsePairs("--require", flags.require) } }),
    ...(flags.isolation === undefined
      ? {}
      : { isolation: parseWord("--isolation", flags.isolation, [...ISOLATIONS, "gvisor"] as const) }),
    ...(flags.timeout === undefined ? {} : { timeoutMs: parseDurationMs("--timeout", flags.timeout) }),
    ...(flags.grace === undefined ? {} : { graceMs: parseDurationMs("--grace", flags.grace) }),
    ...(flags.retries === undefined
      ? {}
      : { maxAttempts: 1 + parseWhole("--retries", flags.retries, 0, LIMITS.maxAttemptsMax - 1) }),
    ...(flags.retryDelay === undefined
      ? {}
      : { retry: retryDelay(parseDurationMs("--retry-delay", flags.retryDelay)) }),
    ...(flags.startAt === undefined ? {} : { startAtMs: parseMomentMs("--start-at", flags.startAt, nowMs) }),
    ...(flags.startBy === undefined ? {} : { startByMs: parseMomentMs("--start-by", flags.startBy, nowMs) }),
    ...(flags.onLost === undefined ? {} : { onLost: parseWord("--on-lost", flags.onLost, ["retry", "fail"] as const) }),
    ...(flags.key === undefined ? {} : { idempotencyKey: flags.key }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  }
}

/** A first delay above the usual bound raises the bound. */
const retryDelay = (delayMsInitial: number) =>
  delayMsInitial > RETRY_DEFAULT.delayMsMax ? { delayMsInitial, delayMsMax: delayMsInitial } : { delayMsInitial }

function resourceLimits(flags: TaskFlags): NonNullable<SubmitRequest["limits"]> {
  return {
    ...(flags.memory === undefined ? {} : { memoryBytes: parseSizeBytes("--memory", flags.memory) }),
    ...(flags.cpus === undefined ? {} : { cpuMilli: cpuMilli(flags.cpus) }),
    ...(flags.pids === undefined ? {} : { pidsMax: parseWhole("--pids", flags.pids, 1, 4_096) }),
    ...(flags.tmpfs === undefined ? {} : { tmpfsBytes: parseSizeBytes("--tmpfs", flags.tmpfs) }),
  }
}

function cpuMilli(text: string): number {
  const cpus = /^\d{1,4}(?:\.\d{1,3})?$/.test(text) ? Number(text) : 0
  if (cpus <= 0) throw usageError("--cpus", `takes a number such as 0.5 or 2, not ${JSON.stringify(text.slice(0, 40))}`)
  return Math.round(cpus * 1_000)
}
