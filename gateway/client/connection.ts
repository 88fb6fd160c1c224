/**
 * Keeps one socket to one of several servers.
 *
 *   idle ──start──▶ connecting ──opened──▶ open
 *                     ▲    │ failed          │ lost
 *                     └─ waiting ◀───────────┘          any ──close, nothing can help──▶ ended
 *
 *   C1. At most one socket is in use; what an earlier one still says changes nothing.
 *   C2. `up` and `down` alternate, beginning with `up`.
 *   C3. `ended` is called once, after the last `down`, and nothing comes after it.
 *   C4. Delays have full jitter and a cap, and start anew only after a frame arrived: a server that accepts
 *       connections and drops them is not called in a tight loop.
 *   C5. It ends by itself when every address said that trying again is no use, or nobody answered for `outageMsMax`.
 */
import { BerthError, berthError } from "../../core/errors.ts"
import { retryDelayMs } from "../../core/policy/retry.ts"
import type { TokenSource } from "./endpoint.ts"
import { Heartbeat } from "./heartbeat.ts"
import { judgeEnd } from "./socketEnd.ts"
import type { Timing } from "./timing.ts"
import type { ClientSocket, SocketEnd, Transport } from "./transport.ts"

export interface ConnectionOptions {
  readonly urls: readonly string[]
  readonly token: TokenSource
  readonly transport: Transport
  readonly timing: Timing
  /** Longest wait for one socket to open, the token's making included. */
  readonly connectMsMax: number
  /** How long a first connection is tried for beyond one round over all addresses. */
  readonly firstMsMax: number
  /** How long a lost connection is tried for before the client gives up. */
  readonly outageMsMax: number
  readonly delayMsInitial: number
  readonly delayMsMax: number
  /** Silence after which the peer is asked for a sign of life. */
  readonly idleMs: number
}

export interface ConnectionEvents {
  readonly up: () => void
  readonly frame: (text: string) => void
  readonly down: (error: BerthError) => void
  readonly ended: (error: BerthError) => void
  /** The platform has no ping: send something that will be answered. */
  readonly probe: () => void
}

type State =
  | { readonly tag: "idle" }
  | { readonly tag: "connecting"; socket: ClientSocket | null; readonly cancelTimer: () => void }
  | { readonly tag: "open"; readonly socket: ClientSocket }
  | { readonly tag: "waiting"; readonly cancelTimer: () => void }
  | { readonly tag: "ended" }

/** Rounds over all addresses that may be refused in a row: one for a fixed token, one more where a fresh one can be had. */
const FINAL_ROUNDS = { fixed: 1, fresh: 2 }

export class Connection {
  readonly #options: ConnectionOptions
  readonly #events: ConnectionEvents
  readonly #heartbeat: Heartbeat
  #state: State = { tag: "idle" }
  /** Grows with each socket; an event of another generation is an echo (C1). */
  #generation = 0
  #token: TokenSource
  #used = ""
  #attempt = 0
  #urlIndex = 0
  #finalInARow = 0
  #everUp = false
  #downSinceMonoMs = 0

  constructor(options: ConnectionOptions, events: ConnectionEvents) {
    this.#options = options
    this.#events = events
    this.#token = options.token
    this.#heartbeat = new Heartbeat(
      options.timing,
      options.idleMs,
      () => this.#probe(),
      () => this.#drop({ code: 1006, reason: `no sign of life for ${2 * options.idleMs} ms` }),
    )
  }

  get isOpen(): boolean {
    return this.#state.tag === "open"
  }

  /** Address of the server in use, or the next to be tried. */
  get url(): string {
    return this.#options.urls[this.#urlIndex % this.#options.urls.length] as string
  }

  /** The token of the connection that is open. */
  get usedToken(): string {
    return this.#used
  }

  get tokenSource(): TokenSource {
    return this.#token
  }

  /** A token as the next connection would use it. */
  token(): Promise<string> {
    return resolveToken(this.#token)
  }

  /** The next connections use this token. */
  replaceToken(token: TokenSource): void {
    this.#token = token
  }

  start(): void {
    if (this.#state.tag !== "idle") return
    this.#downSinceMonoMs = this.#options.timing.monoMs()
    this.#connect()
  }

  /** Sends one frame; false when there is no open socket. */
  send(text: string): boolean {
    if (this.#state.tag !== "open") return false
    this.#state.socket.send(text)
    return true
  }

  /** Ends for good. Idempotent. */
  close(error: BerthError = berthError("SHUTTING_DOWN", "the client was closed", { hint: "Connect again." })): void {
    this.#end(error)
  }

  #connect(): void {
    const generation = ++this.#generation
    const { timing, connectMsMax, transport } = this.#options
    const url = this.url
    const late: SocketEnd = { code: 1006, reason: `no connection within ${connectMsMax} ms` }
    const cancelTimer = timing.after(connectMsMax, () => this.#lost(generation, late))
    this.#state = { tag: "connecting", socket: null, cancelTimer }
    const opening = async () => {
      const token = await resolveToken(this.#token)
      if (generation !== this.#generation || this.#state.tag !== "connecting") return
      this.#used = token
      this.#state.socket = transport.open(
        { url, token },
        {
          opened: () => this.#opened(generation),
          received: (text) => this.#received(generation, text),
          alive: () => this.#heartbeat.alive(),
          closed: (end) => this.#lost(generation, end),
        },
      )
    }
    opening().catch((cause: unknown) => this.#failed(generation, noToken(cause), false))
  }

  #opened(generation: number): void {
    if (generation !== this.#generation || this.#state.tag !== "connecting") return
    const { socket, cancelTimer } = this.#state
    if (socket === null) return
    cancelTimer()
    this.#state = { tag: "open", socket }
    this.#everUp = true
    this.#heartbeat.start()
    this.#events.up()
  }

  #received(generation: number, text: string): void {
    if (generation !== this.#generation || this.#state.tag !== "open") return
    this.#attempt = 0
    this.#finalInARow = 0
    this.#heartbeat.alive()
    this.#events.frame(text)
  }

  #probe(): void {
    if (this.#state.tag !== "open") return
    if (this.#state.socket.probe === undefined) this.#events.probe()
    else this.#state.socket.probe()
  }

  /** Gives up the current socket and tries the next address. */
  #drop(end: SocketEnd): void {
    if (this.#state.tag === "open") this.#lost(this.#generation, end)
  }

  #lost(generation: number, end: SocketEnd): void {
    const verdict = judgeEnd(end, this.url)
    this.#failed(generation, verdict.error, verdict.final)
  }

  #failed(generation: number, error: BerthError, final: boolean): void {
    if (generation !== this.#generation || (this.#state.tag !== "connecting" && this.#state.tag !== "open")) return
    const { timing, urls } = this.#options
    const wasOpen = this.#state.tag === "open"
    this.#release()
    this.#finalInARow = final ? this.#finalInARow + 1 : 0
    this.#attempt += 1
    this.#urlIndex = (this.#urlIndex + 1) % urls.length
    if (wasOpen) {
      this.#downSinceMonoMs = timing.monoMs()
      this.#state = { tag: "waiting", cancelTimer: () => {} }
      this.#events.down(error)
      // Whoever heard of it may have closed this client.
      if (this.#hasEnded()) return
    }
    if (this.#isHopeless()) this.#end(error)
    else this.#wait()
  }

  #hasEnded(): boolean {
    return this.#state.tag === "ended"
  }

  #isHopeless(): boolean {
    const { timing, urls, firstMsMax, outageMsMax } = this.#options
    const rounds = typeof this.#token === "function" ? FINAL_ROUNDS.fresh : FINAL_ROUNDS.fixed
    if (this.#finalInARow >= urls.length * rounds) return true
    const patienceMs = this.#everUp ? outageMsMax : firstMsMax
    return this.#attempt >= urls.length && timing.monoMs() - this.#downSinceMonoMs >= patienceMs
  }

  #wait(): void {
    const { timing, delayMsInitial, delayMsMax, urls } = this.#options
    // One round over the addresses counts as one attempt: another server may be there at once.
    const round = Math.ceil(this.#attempt / urls.length)
    const policy = { maxAttempts: Number.MAX_SAFE_INTEGER, delayMsInitial, delayMsMax, factor: 2 }
    const delayMs = retryDelayMs(policy, Math.min(round, 32), timing.random01())
    this.#state = { tag: "waiting", cancelTimer: timing.after(delayMs, () => this.#connect()) }
  }

  /** Lets go of the socket and the timers of the current state, and makes their later events echoes. */
  #release(): void {
    const state = this.#state
    this.#generation += 1
    this.#heartbeat.stop()
    if (state.tag === "connecting" || state.tag === "waiting") state.cancelTimer()
    if (state.tag === "connecting" || state.tag === "open") state.socket?.close(1000, "")
  }

  #end(error: BerthError): void {
    if (this.#state.tag === "ended") return
    const wasOpen = this.#state.tag === "open"
    this.#release()
    this.#state = { tag: "ended" }
    if (wasOpen) this.#events.down(error)
    this.#events.ended(error)
  }
}

const noToken = (cause: unknown): BerthError =>
  cause instanceof BerthError
    ? cause
    : berthError("UNAUTHORIZED", "the token to connect with could not be had", { cause })

const resolveToken = async (source: TokenSource): Promise<string> =>
  typeof source === "function" ? await source() : source
