/**
 * One watch, kept alive over any number of connections and servers.
 *
 *   idle ──begin──▶ asking ──reply──▶ live ──pause──▶ paused          any ──stop, end, error──▶ over
 *     └────────────── adopt ───────────▶┘
 *                    ▲  │ refused      │ lost            │ resume
 *                    │  ▼              ▼                 │
 *                  delayed           parked ──up──▶ asking ◀┘
 *
 * What it hands out obeys W1 to W4 of the cursor. A watch is never silent for ever: it goes on, or fails with a code; only
 * one that `waits` may stay `delayed` for as long as the client's other watches take up all the room that a connection has.
 */
import { asBerthError, type BerthError, type ErrorCode } from "../../core/errors.ts"
import { retryDelayMs } from "../../core/policy/retry.ts"
import { type BackendEvent, type TaskEvent, readEvent } from "./events.ts"
import type { Timing } from "./timing.ts"
import { WatchCursor } from "./watchCursor.ts"
import type { WatchHub, WatchMember } from "./watchHub.ts"

/** What is watched: one task, or all of one's own. */
export interface WatchTarget {
  readonly taskId: string | null
  /** Null: from now on. */
  readonly fromSeq: number | null
  /** False: only what the log of the task holds already. Default true. */
  readonly follow?: boolean
  /** True: where the connection has as many watches as it may, it waits for the end of one. Default: TOO_MANY at once. */
  readonly waits?: boolean
}

export interface WatchOutput {
  readonly event: (event: TaskEvent) => void
  /** Default: not told. */
  readonly backend?: (event: BackendEvent) => void
  /** The server knows that nothing more will come. */
  readonly finished: () => void
  readonly failed: (error: BerthError) => void
  /** False for an event that nobody needs; it is then not even read. Default: all are wanted. */
  readonly wants?: (wire: unknown) => boolean
  /** It begins, or goes on after an interruption. `seq`: the log's head then. */
  readonly live?: (seq: number) => void
}

/** A subscription that the server opened with another answer, and the events that this answer stands for. */
export interface Begun {
  readonly subscription: string
  readonly seq: number
  readonly events: readonly TaskEvent[]
}

type State =
  | { readonly tag: "idle" | "parked" | "paused" | "over" }
  | { readonly tag: "asking"; readonly forget: () => void }
  | { readonly tag: "live"; readonly subscription: string }
  | { readonly tag: "delayed"; readonly cancel: () => void }

const RETRY = { maxAttempts: Number.MAX_SAFE_INTEGER, delayMsInitial: 100, delayMsMax: 5_000, factor: 2 }
const ASK_MS_MAX = 30_000
/** Failures that another try will not cure, although they are retryable as such: unless one ends, too many stay too many. */
const FINAL: readonly ErrorCode[] = ["TOO_MANY"]

/** A defect met so often at the same place will be met there again. */
const DEFECTS_MAX = 5

export class Watch implements WatchMember {
  readonly #hub: WatchHub
  readonly #timing: Timing
  readonly #target: WatchTarget
  readonly #output: WatchOutput
  #cursor: WatchCursor | null
  #state: State = { tag: "idle" }
  #refusals = 0
  /** Defects of the server without anything new in between. */
  #defects = 0
  #waits: boolean

  constructor(hub: WatchHub, timing: Timing, target: WatchTarget, output: WatchOutput) {
    this.#hub = hub
    this.#timing = timing
    this.#target = target
    this.#output = output
    this.#waits = target.waits === true
    this.#cursor = target.fromSeq === null ? null : new WatchCursor(target.fromSeq)
  }

  begin(): void {
    if (this.#state.tag !== "idle") return
    if (!this.#hub.add(this)) return
    if (!this.#hub.isFull || !this.#awaitPlace()) this.#ask()
  }

  /** Begins with what was asked for already; of a watch that is over, ends it. */
  adopt({ subscription, seq, events }: Begun): void {
    if (this.#state.tag !== "idle") return this.#hub.unsubscribe(subscription)
    if (!this.#hub.add(this)) return
    this.#subscribed({ subscription, seq })
    for (const event of events) this.#accept(event)
  }

  /** The reader is slow: nothing more is sent until `resume`, which goes on from where it stood. */
  pause(): void {
    if (this.#state.tag === "over" || this.#state.tag === "idle") return
    this.#leave({ tag: "paused" })
  }

  resume(): void {
    if (this.#state.tag === "paused") this.#ask()
  }

  stop(): void {
    this.#leave({ tag: "over" })
    this.#hub.remove(this)
  }

  /** A connection is there. */
  up(): void {
    if (this.#state.tag === "parked") this.#ask()
  }

  /** The connection was lost, and with it the subscription. */
  down(): void {
    if (this.#state.tag === "live") this.#state = { tag: "parked" }
  }

  /** One event, as it was sent. */
  receive(wire: unknown): void {
    if (this.#output.wants?.(wire) === false) return
    const event = readEvent(wire)
    if (event === null || this.#state.tag !== "live") return
    // It has no place in the log, and so none in the cursor's order.
    if (event.type === "backend") return this.#output.backend?.(event)
    this.#refusals = 0
    this.#accept(event)
  }

  #accept(event: TaskEvent): void {
    if (event.seq !== null) this.#hub.noteSeq(event.seq)
    this.#cursor ??= new WatchCursor(Math.max(0, (event.seq ?? 1) - 1))
    for (const fresh of this.#cursor.accept(event)) {
      this.#defects = 0
      this.#output.event(fresh)
    }
  }

  /** The server ended the subscription. */
  ended(error: BerthError | null): void {
    if (error !== null) return this.#refused(error)
    // There is no subscription left to end.
    this.#state = { tag: "parked" }
    this.stop()
    this.#output.finished()
  }

  fail(error: BerthError): void {
    if (this.#state.tag === "over") return
    this.stop()
    this.#output.failed(error)
  }

  #ask(): void {
    const fromSeq = this.#cursor?.resume()
    const { follow = true, taskId: id } = this.#target
    const wanted = follow ? {} : { follow }
    const forget = this.#hub.subscribe(
      id === null ? "events.watch" : "task.watch",
      {
        ...(id === null ? {} : { id, minSeq: this.#hub.seq, ...wanted }),
        ...(fromSeq === undefined ? {} : { fromSeq }),
      },
      ASK_MS_MAX,
      {
        // The state is set here, synchronously: the first event may be the very next frame (R5).
        succeed: (answer) => this.#subscribed(answer),
        fail: (cause) => this.#refused(asBerthError(cause)),
      },
    )
    // A call that cannot even wait fails before `begin` returns.
    if (forget !== null) this.#state = { tag: "asking", forget }
  }

  #subscribed(answer: { readonly subscription: string; readonly seq: number }): void {
    this.#state = { tag: "live", subscription: answer.subscription }
    this.#hub.route(answer.subscription, this)
    // Who had a place once has a claim to one, after a pause or on the next connection.
    this.#waits = true
    this.#cursor ??= new WatchCursor(answer.seq)
    this.#output.live?.(answer.seq)
  }

  #refused(error: BerthError): void {
    if (this.#state.tag === "over" || this.#state.tag === "paused") return
    if (this.#state.tag === "live") this.#hub.unroute(this.#state.subscription)
    if (error.code === "CONNECTION_LOST" && !this.#hub.isOpen) {
      this.#state = { tag: "parked" }
      return
    }
    if (error.code === "TOO_MANY" && this.#awaitPlace()) return
    if (error.code === "INTERNAL" && ++this.#defects >= DEFECTS_MAX) return this.fail(error)
    if (!error.retryable || (FINAL.includes(error.code) && !this.#waits)) return this.fail(error)
    this.#refusals += 1
    const delayMs = retryDelayMs(RETRY, Math.min(this.#refusals, 32), this.#timing.random01())
    this.#state = { tag: "delayed", cancel: this.#timing.after(delayMs, () => this.#ask()) }
  }

  /** False when this watch does not wait, or when nothing here will make room for it. */
  #awaitPlace(): boolean {
    const cancel = this.#waits ? this.#hub.whenPlace(() => this.#ask()) : null
    if (cancel !== null) this.#state = { tag: "delayed", cancel }
    return cancel !== null
  }

  /** Leaves the current state for one in which nothing is under way. */
  #leave(next: State): void {
    const state = this.#state
    this.#state = next
    if (state.tag === "asking") state.forget()
    if (state.tag === "delayed") state.cancel()
    if (state.tag === "live") this.#hub.unsubscribe(state.subscription)
  }
}
