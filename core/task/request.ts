import type { Isolation, Lane } from "../words.ts"

/** One file as a client sends it. */
export interface FileRequest {
  readonly path: string
  readonly content: string
  readonly encoding?: "utf8" | "base64"
  readonly executable?: boolean
}

/** What a client may ask for. Exactly one of `runtime`, `image` and `handler` says what is to be run. */
export interface SubmitRequest {
  /** A language of the catalogue, with `code` or `files`. */
  readonly runtime?: string
  /** Source text of the main file; short for one entry of `files`. */
  readonly code?: string
  readonly files?: readonly FileRequest[]
  /** Which of `files` is started. Default: the runtime's main file, or the only file. */
  readonly entry?: string
  /** Any image, with `command` as argv. */
  readonly image?: string
  readonly command?: readonly string[]
  /** A function of the embedding program, with `input` as any JSON value. */
  readonly handler?: string
  readonly input?: unknown
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  readonly stdinEncoding?: "utf8" | "base64"
  readonly lane?: Lane
  /** The workers that it goes to. Default `default`. */
  readonly pool?: string
  /** What a worker of the pool must have to take it; while none has, it waits and holds nothing. */
  readonly requires?: {
    readonly handler?: string
    readonly isolation?: Isolation | "gvisor"
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly labels?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  readonly graceMs?: number
  readonly maxAttempts?: number
  readonly retry?: { readonly delayMsInitial?: number; readonly delayMsMax?: number; readonly factor?: number }
  readonly startAtMs?: number
  readonly startByMs?: number
  readonly onLost?: "retry" | "fail"
  readonly limits?: {
    readonly memoryBytes?: number
    readonly cpuMilli?: number
    readonly pidsMax?: number
    readonly tmpfsBytes?: number
  }
  /** What it must be kept apart by; `gvisor` is another name for `runsc`. Refused where the engine does not have it. */
  readonly isolation?: Isolation | "gvisor"
  /** Keep what the program leaves in /box/out. Default false. */
  readonly artifacts?: boolean
  /** Names of secrets, which become environment variables of the same names. */
  readonly secrets?: readonly string[]
  readonly idempotencyKey?: string
}

/** Fields that later versions will take; sending one now is answered with NOT_YET. */
export const RESERVED_FIELDS = ["action"] as const
