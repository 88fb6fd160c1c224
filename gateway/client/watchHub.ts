import { Option, Result, Schema } from "effect"
import { asBerthError, type BerthError } from "../../core/errors.ts"
import { decodeResult } from "../protocol/decode.ts"
import { shapeOf } from "../protocol/shape.ts"
import { fromWireError, WireError } from "../protocol/wireError.ts"
import type { Rpc } from "./rpc.ts"

/** A watch, as the hub sees it. */
export interface WatchMember {
  /** A connection is there. */
  readonly up: () => void
  /** The connection was lost, and with it the subscription. */
  readonly down: () => void
  /** One event of its subscription, as it was sent. */
  readonly receive: (wire: unknown) => void
  /** The server ended the subscription. */
  readonly ended: (error: BerthError | null) => void
  readonly fail: (error: BerthError) => void
}

interface SubscribeAnswer {
  readonly succeed: (answer: { readonly subscription: string; readonly seq: number }) => void
  readonly fail: (cause: unknown) => void
}

/** Whose event this is. The event itself is read by its watch, which skips kinds that it does not know. */
const eventOf = (params: unknown): { readonly subscription: unknown; readonly event: unknown } | null =>
  typeof params === "object" && params !== null && "subscription" in params && "event" in params ? params : null
const Ended = Schema.Struct({ subscription: Schema.String, error: Schema.NullOr(WireError) })
const decodeEnded = Schema.decodeUnknownOption(Ended)
const isEnded = shapeOf(Ended)

/** All watches of a client: hands each the events of its subscription, and tells all when connections come and go. */
export class WatchHub {
  readonly #rpc: Rpc
  readonly #isOpen: () => boolean
  readonly #watches = new Set<WatchMember>()
  readonly #routes = new Map<string, WatchMember>()
  /** Subscriptions that the server was asked to end. */
  readonly #leaving = new Set<string>()
  /** Who waits until the server takes one more watch of this connection, in the order of their coming. */
  readonly #placeless = new Set<() => void>()
  #seq = 0
  #ended: BerthError | null = null

  constructor(rpc: Rpc, isOpen: () => boolean) {
    this.#rpc = rpc
    this.#isOpen = isOpen
  }

  get isOpen(): boolean {
    return this.#isOpen()
  }

  /** Highest sequence that this client has seen: later reads must show at least this. */
  get seq(): number {
    return this.#seq
  }

  noteSeq(seq: number): void {
    if (seq > this.#seq) this.#seq = seq
  }

  /** False when the client has ended; the watch has then failed. */
  add(watch: WatchMember): boolean {
    if (this.#ended !== null) {
      watch.fail(this.#ended)
      return false
    }
    this.#watches.add(watch)
    return true
  }

  remove(watch: WatchMember): void {
    this.#watches.delete(watch)
  }

  route(subscription: string, watch: WatchMember): void {
    this.#routes.set(subscription, watch)
  }

  unroute(subscription: string): void {
    this.#routes.delete(subscription)
  }

  /** True while some wait for a place: who comes now is behind them. */
  get isFull(): boolean {
    return this.#placeless.size > 0
  }

  /** Asks once there may be room. Returns what forgets it, or null when no watch is here that will make room. */
  whenPlace(ask: () => void): (() => void) | null {
    if (this.#routes.size + this.#leaving.size === 0) return null
    this.#placeless.add(ask)
    return () => void this.#placeless.delete(ask)
  }

  /** One at a time, or a thousand would ask for the one place: who gets it sends the next one to look for another. */
  #offerPlace(): void {
    const [first] = this.#placeless
    if (first === undefined || !this.isOpen) return
    this.#placeless.delete(first)
    first()
  }

  /** Asks for a subscription. Returns what forgets the question, or null when it was answered already. */
  subscribe(
    method: "task.watch" | "events.watch",
    params: unknown,
    deadlineMs: number,
    answer: SubscribeAnswer,
  ): (() => void) | null {
    let settled = false
    let forgotten = false
    this.#rpc.begin({
      method,
      params,
      repeatable: false,
      refusalIsFinal: true,
      deadlineMs,
      succeed: (result) => {
        settled = true
        const decoded = decodeResult(method, result)
        if (Result.isFailure(decoded)) return forgotten ? undefined : answer.fail(decoded.failure)
        this.noteSeq(decoded.success.seq)
        // Nobody waits for it any more, but the server has begun it.
        if (forgotten) this.unsubscribe(decoded.success.subscription)
        else answer.succeed(decoded.success)
        this.#offerPlace()
      },
      fail: (cause) => {
        settled = true
        if (!forgotten) answer.fail(cause)
        if (asBerthError(cause).code !== "TOO_MANY") this.#offerPlace()
      },
    })
    return settled
      ? null
      : () => {
          forgotten = true
        }
  }

  unsubscribe(subscription: string): void {
    this.unroute(subscription)
    if (!this.isOpen || this.#leaving.has(subscription)) return
    this.#leaving.add(subscription)
    // Its events end with the answer.
    const left = (): void => {
      this.#leaving.delete(subscription)
      this.#offerPlace()
    }
    const call = { method: "task.unwatch", params: { subscription }, repeatable: false, deadlineMs: 30_000 }
    this.#rpc.begin({ ...call, succeed: left, fail: left })
  }

  notified(method: string, params: unknown): void {
    if (method === "task.event") {
      const told = eventOf(params)
      if (told !== null && typeof told.event === "object" && told.event !== null) {
        const subscription = String(told.subscription)
        const watch = this.#routes.get(subscription)
        if (watch !== undefined) watch.receive(told.event)
        // Opened for a call that was given up before its answer came.
        else this.unsubscribe(subscription)
      }
    } else if (method === "subscription.ended") {
      const ended = isEnded(params) ? (params as typeof Ended.Type) : Option.getOrNull(decodeEnded(params))
      if (ended === null) return
      const watch = this.#routes.get(ended.subscription)
      this.#routes.delete(ended.subscription)
      watch?.ended(ended.error === null ? null : fromWireError(ended.error))
      this.#offerPlace()
    }
  }

  up(): void {
    // Those that were cut off have the first claim.
    for (const watch of [...this.#watches]) watch.up()
    this.#offerPlace()
  }

  down(): void {
    this.#routes.clear()
    this.#leaving.clear()
    for (const watch of this.#watches) watch.down()
  }

  end(error: BerthError): void {
    this.#ended = error
    this.#routes.clear()
    for (const watch of [...this.#watches]) watch.fail(error)
  }
}
