import type { TokenSource } from "./endpoint.ts"
import { liveTiming, type Timing } from "./timing.ts"
import type { Transport } from "./transport.ts"

/** What may be chosen when connecting. Durations are in milliseconds. */
export interface ConnectOptions {
  /** A JWT of `berth token`, or a function that gets one; it is called again for every new connection, and before a token expires. */
  readonly token: TokenSource
  /** Longest wait for the answer to one call, reconnecting included. Default 30_000. */
  readonly deadlineMs?: number
  /** Longest wait for one connection to open. Default 10_000. */
  readonly connectMs?: number
  /** How long the first connection is tried for. Default 0: one round over all addresses. */
  readonly waitForServerMs?: number
  /** How long a lost connection is tried for before the client gives up. Default 300_000. */
  readonly outageMs?: number
  /** Silence after which the server is asked for a sign of life; as long again, and the connection counts as lost. Default 15_000. */
  readonly idleMs?: number
  /** Told whenever the connection comes or goes; for showing, not for deciding. */
  readonly onConnection?: (up: boolean) => void
}

/** What a client is made of, whatever lies between it and the server. */
export interface ClientOptions extends ConnectOptions {
  readonly urls: readonly string[]
  readonly transport: Transport
  /** Default: the platform's clock and dice. */
  readonly timing?: Timing
  /** False where no door counts messages, as inside one process. Default true. */
  readonly paced?: boolean
}

export const resolveOptions = (options: ClientOptions) => ({
  timing: options.timing ?? liveTiming,
  paced: options.paced ?? true,
  deadlineMs: options.deadlineMs ?? 30_000,
  connectMsMax: options.connectMs ?? 10_000,
  firstMsMax: options.waitForServerMs ?? 0,
  outageMsMax: options.outageMs ?? 300_000,
  idleMs: options.idleMs ?? 15_000,
  onConnection: options.onConnection ?? (() => {}),
})
