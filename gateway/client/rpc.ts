/**
 * Calls over a connection that comes and goes.
 *
 *   R1. Every call settles exactly once: with its reply, its error, its deadline, its abort, or the end of the client.
 *   R2. A repeatable call that was on the wire when the connection was lost is sent again, at most `SENDS_MAX` times.
 *       Any other fails with CONNECTION_LOST at once: nobody knows whether it took effect.
 *   R3. At most `inFlightMax` calls are on the wire; the rest wait in order, at most `waitingMax` of them.
 *   R4. A call that the server refused at the door was not begun, so it is sent again until its deadline,
 *       and then fails with that refusal.
 *   R5. Replies and notifications are handed over synchronously and in the order of their frames.
 */
import { berthError, type BerthError, type ErrorCode } from "../../core/errors.ts"
import { retryDelayMs } from "../../core/policy/retry.ts"
import type { Connection } from "./connection.ts"
import type { Timing } from "./timing.ts"
import { decodeFrame, type Incoming } from "./incoming.ts"
import type { Pace } from "./pace.ts"
import { utf8Bytes } from "../protocol/utf8.ts"

/** Connection losses that one call survives. */
const SENDS_MAX = 10
const REFUSED_AT_THE_DOOR: readonly ErrorCode[] = ["RATE_LIMITED", "TOO_MANY", "NOT_READY", "SHUTTING_DOWN"]
/** How often is asked again what the door refused. */
export const REFUSAL_RETRY = { maxAttempts: Number.MAX_SAFE_INTEGER, delayMsInitial: 100, delayMsMax: 5_000, factor: 2 }

export interface RpcOptions {
  readonly inFlightMax: number
  readonly waitingMax: number
  /** Largest frame that the server takes. */
  readonly frameBytesMax: number
  /** Null: as fast as it goes. */
  readonly pace: Pace | null
}

export interface Call {
  readonly method: string
  readonly params: unknown
  /** May be sent twice without harm. */
  readonly repeatable: boolean
  /** A refusal at the door is handed to the caller at once instead of being tried again. */
  readonly refusalIsFinal?: boolean
  /** Null: none. */
  readonly deadlineMs: number | null
  readonly signal?: AbortSignal | undefined
  readonly succeed: (result: unknown) => void
  readonly fail: (error: unknown) => void
}

interface Pending {
  readonly id: number
  readonly call: Call
  readonly text: string
  sends: number
  refusals: number
  refusal: BerthError | null
  cancelRetry: (() => void) | null
  readonly release: () => void
}

export class Rpc {
  readonly #connection: Connection
  readonly #timing: Timing
  readonly #options: RpcOptions
  readonly #notified: (method: string, params: unknown) => void
  /** By id, in the order of the calls. */
  readonly #pending = new Map<number, Pending>()
  readonly #onWire = new Set<number>()
  #waiting: Pending[] = []
  #pausedBy: (() => void) | null = null
  #lastId = 0
  #ended: BerthError | null = null

  constructor(
    connection: Connection,
    timing: Timing,
    options: RpcOptions,
    notified: (method: string, params: unknown) => void,
  ) {
    this.#connection = connection
    this.#timing = timing
    this.#options = options
    this.#notified = notified
  }

  /** Begins a call; returns a function that forgets it without an answer. */
  begin(call: Call): () => void {
    const refused = this.#ended ?? (this.#waiting.length >= this.#options.waitingMax ? tooMany(this.#options) : null)
    if (refused !== null) return this.#failNow(call, refused)
    if (call.signal?.aborted === true) return this.#failNow(call, call.signal.reason)
    const id = ++this.#lastId
    const text = JSON.stringify({ jsonrpc: "2.0", id, method: call.method, params: call.params })
    if (text.length * 3 > this.#options.frameBytesMax && utf8Bytes(text) > this.#options.frameBytesMax) {
      return this.#failNow(call, tooLarge(this.#options.frameBytesMax))
    }
    const pending: Pending = {
      id,
      call,
      text,
      sends: 0,
      refusals: 0,
      refusal: null,
      cancelRetry: null,
      release: this.#guard(id, call),
    }
    this.#pending.set(id, pending)
    this.#waiting.push(pending)
    this.#pump()
    return () => this.#take(id)
  }

  /** A call as a promise. Rejects with a BerthError, or with the signal's reason when that aborts. */
  call(call: Omit<Call, "succeed" | "fail">): Promise<unknown> {
    return new Promise((succeed, fail) => this.begin({ ...call, succeed, fail }))
  }

  /** The connection is open: what waits goes out, in the order of the calls. */
  up(): void {
    this.#options.pace?.refill()
    this.#pump()
  }

  /** The connection was lost (R2). */
  down(error: BerthError): void {
    const again: Pending[] = []
    for (const id of this.#onWire) {
      const pending = this.#pending.get(id)
      if (pending === undefined) continue
      if (pending.call.repeatable && pending.sends < SENDS_MAX) again.push(pending)
      else this.#settle(id, (call) => call.fail(lostOnTheWay(call.method, error)))
    }
    this.#onWire.clear()
    this.#waiting = [...again, ...this.#waiting]
  }

  /** Nothing will come any more. */
  end(error: BerthError): void {
    this.#ended = error
    for (const id of [...this.#pending.keys()]) this.#settle(id, (call) => call.fail(error))
    this.#waiting = []
    this.#onWire.clear()
    this.#pausedBy?.()
    this.#pausedBy = null
  }

  frame(text: string): void {
    const incoming = decodeFrame(text)
    if (incoming.type === "notification") this.#notified(incoming.method, incoming.params)
    else if (incoming.type !== "noise") this.#reply(incoming)
  }

  #reply(incoming: Exclude<Incoming, { type: "noise" | "notification" }>): void {
    const pending = this.#pending.get(incoming.id)
    this.#onWire.delete(incoming.id)
    if (pending !== undefined) {
      if (incoming.type === "result") this.#settle(incoming.id, (call) => call.succeed(incoming.result))
      else if (this.#isTriedAgain(pending, incoming.error)) this.#retryLater(pending, incoming.error)
      else this.#settle(incoming.id, (call) => call.fail(incoming.error))
    }
    this.#pump()
  }

  #isTriedAgain(pending: Pending, error: BerthError): boolean {
    return (
      REFUSED_AT_THE_DOOR.includes(error.code) &&
      pending.call.refusalIsFinal !== true &&
      pending.call.deadlineMs !== null
    )
  }

  #retryLater(pending: Pending, error: BerthError): void {
    pending.refusal = error
    pending.refusals += 1
    const delayMs = retryDelayMs(REFUSAL_RETRY, Math.min(pending.refusals, 32), this.#timing.random01())
    pending.cancelRetry = this.#timing.after(delayMs, () => {
      pending.cancelRetry = null
      this.#waiting.push(pending)
      this.#pump()
    })
  }

  #pump(): void {
    if (this.#pausedBy !== null) return
    while (this.#connection.isOpen && this.#onWire.size < this.#options.inFlightMax && this.#dropSettled()) {
      const waitMs = this.#options.pace?.take() ?? 0
      if (waitMs > 0) return this.#pause(waitMs)
      const next = this.#waiting.shift() as Pending
      next.sends += 1
      this.#onWire.add(next.id)
      this.#connection.send(next.text)
    }
  }

  /** Calls that gave up while they waited go; true when one is left. */
  #dropSettled(): boolean {
    while (this.#waiting[0] !== undefined && !this.#pending.has(this.#waiting[0].id)) this.#waiting.shift()
    return this.#waiting.length > 0
  }

  #pause(waitMs: number): void {
    this.#pausedBy = this.#timing.after(waitMs, () => {
      this.#pausedBy = null
      this.#pump()
    })
  }

  /** Arms deadline and abort; returns what disarms both. */
  #guard(id: number, call: Call): () => void {
    const { signal, deadlineMs } = call
    const cancelDeadline =
      deadlineMs === null ? undefined : this.#timing.after(deadlineMs, () => this.#tooLate(id, deadlineMs))
    const abort = () => this.#settle(id, (aborted) => aborted.fail(signal?.reason))
    signal?.addEventListener("abort", abort, { once: true })
    return () => {
      cancelDeadline?.()
      signal?.removeEventListener("abort", abort)
    }
  }

  #tooLate(id: number, deadlineMs: number): void {
    const refusal = this.#pending.get(id)?.refusal ?? null
    this.#settle(id, (call) => call.fail(refusal ?? deadlineExceeded(call.method, deadlineMs)))
  }

  #settle(id: number, how: (call: Call) => void): void {
    const pending = this.#take(id)
    if (pending !== undefined) how(pending.call)
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    if (pending === undefined) return undefined
    this.#pending.delete(id)
    pending.release()
    pending.cancelRetry?.()
    return pending
  }

  #failNow(call: Call, error: unknown): () => void {
    call.fail(error)
    return () => {}
  }
}

const tooMany = (options: RpcOptions): BerthError =>
  berthError("TOO_MANY", `${options.waitingMax} calls already wait for the connection`)

const tooLarge = (bytesMax: number): BerthError =>
  berthError("TOO_LARGE", `the request is larger than one frame of ${bytesMax} bytes`, { path: "params" })

const deadlineExceeded = (method: string, deadlineMs: number): BerthError =>
  berthError("DEADLINE_EXCEEDED", `${method} was not answered within ${deadlineMs} ms`)

const lostOnTheWay = (method: string, error: BerthError): BerthError =>
  berthError("CONNECTION_LOST", `the connection was lost before ${method} was answered; it may have taken effect`, {
    hint: "Look at the task first, then decide whether to call again.",
    cause: error,
  })
