import type { Isolation, Lane } from "../words.ts"
import type { RetryPolicy } from "../policy/retry.ts"

/** One file of a program. `path` is relative to `/box`, normal, without `..`. */
export interface ProgramFile {
  readonly path: string
  readonly content: string
  /** How `content` is written. Default `utf8`. */
  readonly encoding: "utf8" | "base64"
  readonly executable: boolean
}

interface ProgramInput {
  readonly args: readonly string[]
  /** Never leaves the log and the container: not in an answer, an event or a log line. */
  readonly env: Readonly<Record<string, string>>
  readonly stdin: { readonly content: string; readonly encoding: "utf8" | "base64" } | null
  readonly files: readonly ProgramFile[]
  /** Names of secrets whose values become environment variables of the same name when the attempt starts. */
  readonly secrets: readonly string[]
}

/** What is to be run. Stored once, in the first record or as a blob; the state only refers to it. */
export type Program =
  | (ProgramInput & { readonly kind: "runtime"; readonly runtime: string; readonly entry: string })
  | (ProgramInput & { readonly kind: "image"; readonly image: string; readonly command: readonly string[] })
  | { readonly kind: "handler"; readonly handler: string; readonly input: unknown }

/** Resource limits of one attempt's container. */
export interface ResourceLimits {
  /** Memory and swap together. Default 256 MiB. */
  readonly memoryBytes: number
  /** CPU share in thousandths of a core. Default 1000. */
  readonly cpuMilli: number
  /** Processes and threads. Default 64; 128 for a JVM. */
  readonly pidsMax: number
  /** Size of /box and of /tmp each. Default 64 MiB. */
  readonly tmpfsBytes: number
}

/** What a worker must have to take a task. */
export interface Requires {
  readonly handler?: string
  readonly isolation?: Isolation
  /** Labels of the worker, all of them. */
  readonly labels?: Readonly<Record<string, string>>
}

/** Everything about a task that decisions read; it rides in every record, so it is small. */
export interface TaskSpec {
  readonly kind: Program["kind"]
  /** Runtime, image or handler name, for people and metrics. */
  readonly target: string
  readonly lane: Lane
  readonly pool: string
  /** Absent: any worker of the pool that runs this kind. */
  readonly requires?: Requires
  readonly labels: Readonly<Record<string, string>>
  readonly retry: RetryPolicy
  /** Longest run of one attempt, from its program's begin. */
  readonly timeoutMs: number
  /** From SIGTERM to SIGKILL. */
  readonly graceMs: number
  /** Not started before; null: at once. */
  readonly startAtMs: number | null
  /** Fails with `expired` unless an attempt began by then; null: never. */
  readonly startByMs: number | null
  /** What happens when the worker that ran it is lost. Default `retry`, which uses up no attempt. */
  readonly onLost: "retry" | "fail"
  readonly limits: ResourceLimits
  /** The class that it must run in; absent: `runc`, the usual one. */
  readonly isolation?: Isolation
  /** Whether /box/out is collected after the program ended. */
  readonly artifacts: boolean
  /** SHA-256 of the request as sent, in hex; tells a repeat from a mismatch. */
  readonly requestHash: string
  readonly idempotencyKey: string | null
}
