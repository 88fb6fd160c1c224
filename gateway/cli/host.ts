/** All that the command line needs from the process around it. `gateway/main` implements it; tests bring their own. */
import type { BerthClient, Lane, TokenSource } from "../client/publicTypes.ts"
import type { ConnectOptions } from "../client/options.ts"

/** Nobody reads our output any longer, as after `berth ls | head`. Not an error to speak of, and nobody to speak to. */
export class OutputGone extends Error {
  override readonly name = "OutputGone"
}

/** Somewhere to write. `write` resolves when there is room for more; it rejects with OutputGone. */
export interface CliOutput {
  readonly isTty: boolean
  readonly write: (chunk: string | Uint8Array) => Promise<void>
}

export interface CliInput {
  readonly isTty: boolean
  /** Everything until its end; rejects with TOO_LARGE beyond `bytesMax`. */
  readonly readAll: (bytesMax: number) => Promise<Uint8Array>
  /** What is typed until Ctrl-D, which the terminal does not show; the same as `readAll` where it is none. */
  readonly readHidden: (bytesMax: number) => Promise<Uint8Array>
}

export type CliSignal = "SIGINT" | "SIGTERM"

/** The part of the host that is the terminal. */
export interface CliTerminal {
  readonly stdout: CliOutput
  readonly stderr: CliOutput
  readonly stdin: CliInput
  /** While a handler is there, the signal does nothing else. Returns what takes the handler away. */
  readonly onSignal: (handler: (signal: CliSignal) => void) => () => void
}

export interface EmbeddedOptions {
  /** Undefined: the usual place. */
  readonly dataDir: string | undefined
  readonly executor: string | undefined
  readonly slots: number | undefined
  /** File with the keys of the secrets; undefined: as the environment says. */
  readonly secretsKeyFile: string | undefined
}

/** A server inside this process, for the time of one command. */
export interface EmbeddedServer {
  readonly client: BerthClient
  readonly dataDir: string
  /** Stops it. Tasks that are not at rest stay in the data directory. */
  readonly close: () => Promise<void>
}

export interface ServeOptions extends EmbeddedOptions {
  /** Refuse to run programs of others on an engine below the floors. */
  readonly strict: boolean
  readonly bind: string | undefined
  /** 0: any free one. */
  readonly port: number | undefined
  /** Addresses of a broker; none, here and in the environment: a server alone. */
  readonly nats: readonly string[]
  readonly natsMonitors: readonly string[]
  readonly natsCreds: string | undefined
  readonly natsNkey: string | undefined
  readonly natsCa: string | undefined
  readonly natsCert: string | undefined
  readonly natsKey: string | undefined
  readonly cluster: string | undefined
  readonly replicas: number | undefined
  /** None: all. */
  readonly roles: readonly string[]
  readonly pool: string | undefined
  readonly worker: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly secretFile: string | undefined
  /** A server that waits for its broker gives up when this aborts; `serve` then rejects. */
  readonly until: AbortSignal
}

export interface RunningServer {
  readonly url: string
  readonly token: string
  readonly pid: number
  readonly dataDir: string
  /** Drains and stops. Idempotent. */
  readonly close: () => Promise<void>
  /** Resolves when it has stopped, for whatever reason; rejects when it failed. */
  readonly closed: Promise<void>
}

export interface MintOptions {
  readonly dataDir: string | undefined
  readonly owner: string
  readonly role: "user" | "admin"
  readonly laneMax: Lane
  readonly lifeMs: number
}

/** One fact that the doctor looked at. */
export interface DoctorLine {
  /** `floor`: what the machine is or has. `attack`: what a hostile program tried. */
  readonly kind: "floor" | "attack"
  readonly name: string
  /** `warn`: cannot be known. */
  readonly verdict: "ok" | "warn" | "fail"
  readonly detail: string
  readonly hint?: string
}

/** A role that a node has on the broker. */
export type BrokerRole =
  | { readonly role: "gateway" | "leader" }
  | { readonly role: "worker"; readonly worker: string; readonly pool: string }

export interface BrokerPermissions {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  readonly text: string
}

export interface CliHost extends CliTerminal {
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Calls back once after `ms` unless cancelled. */
  readonly after: (ms: number, callback: () => void) => () => void
  readonly nowMs: () => number
  readonly connect: (url: string, options: ConnectOptions) => Promise<BerthClient>
  /** The live server of a data directory, or null. */
  readonly locate: (
    dataDir: string | undefined,
  ) => Promise<{ readonly url: string; readonly token: TokenSource } | null>
  readonly openEmbedded: (options: EmbeddedOptions) => Promise<EmbeddedServer>
  readonly serve: (options: ServeOptions) => Promise<RunningServer>
  readonly mintToken: (options: MintOptions) => Promise<string>
  readonly doctor: (options: { readonly dataDir: string | undefined }) => Promise<readonly DoctorLine[]>
  /** Seals the secrets of a data directory that no server uses with a new key. Resolves with how many there are. */
  readonly rotateSecretsKey: (options: { readonly dataDir: string | undefined }) => Promise<number>
  /** What a node with these roles needs on the broker, and the same as nats-server's configuration has it. */
  readonly brokerPermissions: (cluster: string, roles: readonly BrokerRole[]) => Promise<BrokerPermissions>
  /** Resolves with the bytes that were written. */
  readonly backup: (options: {
    readonly dataDir: string | undefined
    readonly to: string
  }) => Promise<{ readonly bytes: number }>
  readonly restore: (options: {
    readonly from: string
    readonly dataDir: string | undefined
  }) => Promise<{ readonly dataDir: string }>
}
