/** The consumer behind a feed: how it comes about, and what it brings. */
import { type Consumer, type ConsumerMessages, DeliverPolicy, type JsMsg } from "@nats-io/jetstream"
import { Effect, Fiber, type Result } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Seq } from "../../core/record.ts"
import type { Link } from "./link.ts"

const BATCH_MAX = 1_000
const BATCH_BYTES_MAX = 8 * 1024 * 1024
/** Messages asked for at a time. */
const REQUEST_MAX = 500
/** How long one request stands. */
const REQUEST_MS = 5_000
/**
 * A consumer that nobody asked for so long goes by itself: its reader's process was killed. Some requests long, so that one
 * that is lost on the way costs no consumer; and no longer, as a broker has room for only so many (1,000 a stream, unless told
 * otherwise, since 2.15).
 */
const IDLE_MS = 30_000

/** A consumer that is being made, which takes as long as the brokers need to agree on who makes it. */
export class Opening {
  readonly done: Effect.Effect<Result.Result<Arrivals, BerthError>>
  #isAbandoned = false
  #made: Arrivals | null = null

  constructor(link: Link, stream: string, position: Seq) {
    const making = link.ask("following the log", async () => {
      const consumer = await link.js.consumers.get(stream, {
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: position + 1,
        inactive_threshold: IDLE_MS,
      })
      const messages = await consumer.consume({ max_messages: REQUEST_MAX, expires: REQUEST_MS })
      this.#made = new Arrivals(consumer, messages)
      if (this.#isAbandoned) this.#made.stop()
      return this.#made
    })
    const failing = Effect.tapError(making, () => Effect.sync(() => this.abandon()))
    this.done = Fiber.join(Effect.runFork(Effect.result(failing)))
  }

  /** Nobody takes it; also when it is there only later. */
  abandon(): void {
    this.#isAbandoned = true
    this.#made?.stop()
  }
}

const nothing = (): void => {}
type Outcome = { readonly next: IteratorResult<JsMsg> } | { readonly error: unknown }

/** The next message, asked for once and waited for as often as may be: no wait in vain leaves anything behind. */
class Awaited {
  #outcome: Outcome | null = null
  wake = nothing

  constructor(next: Promise<IteratorResult<JsMsg>>) {
    next.then(
      (found) => this.#settle({ next: found }),
      (error: unknown) => this.#settle({ error }),
    )
  }

  get isThere(): boolean {
    return this.#outcome !== null
  }

  take(): IteratorResult<JsMsg> {
    if (this.#outcome !== null && "next" in this.#outcome) return this.#outcome.next
    throw this.#outcome?.error
  }

  #settle(outcome: Outcome): void {
    this.#outcome = outcome
    this.wake()
  }
}

/** What a consumer brings. The message that is waited for when a batch ends, or in vain, begins the next one. */
export class Arrivals {
  readonly #consumer: Consumer
  readonly #messages: ConsumerMessages
  readonly #iterator: AsyncIterator<JsMsg>
  #awaited: Awaited | null = null

  constructor(consumer: Consumer, messages: ConsumerMessages) {
    this.#consumer = consumer
    this.#messages = messages
    this.#iterator = messages[Symbol.asyncIterator]()
  }

  /** Ends the consumer; nobody waits for the broker's word, as it also goes by itself. */
  stop(): void {
    this.#messages.stop()
    this.#consumer.delete().catch(() => {})
  }

  /** What has arrived: however fast others write, a reader hears at once what came first. `quiet`: nothing came for `quietMs`. */
  async batch(clock: Clock["Service"], quietMs: number): Promise<readonly JsMsg[] | "quiet" | "over"> {
    const first = await this.#next((giveUp) => clock.after(quietMs, giveUp))
    if (first === null) return "quiet"
    if (first.done === true) return "over"
    const batch = [first.value]
    let bytes = first.value.data.byteLength
    let isOver = false
    let giveUpNow = nothing
    setImmediate(() => {
      isOver = true
      giveUpNow()
    })
    while (!isOver && batch.length < BATCH_MAX && bytes < BATCH_BYTES_MAX) {
      const next = await this.#next((giveUp) => {
        giveUpNow = giveUp
        return nothing
      })
      if (next === null || next.done === true) break
      batch.push(next.value)
      bytes += next.value.data.byteLength
    }
    return batch
  }

  /** @param until - is handed what ends the waiting, and gives what withdraws that; then there is null */
  async #next(until: (giveUp: () => void) => () => void): Promise<IteratorResult<JsMsg> | null> {
    const awaited = (this.#awaited ??= new Awaited(this.#iterator.next()))
    if (!awaited.isThere)
      await new Promise<void>((resolve) => {
        const withdraw = until(resolve)
        awaited.wake = () => {
          withdraw()
          resolve()
        }
      })
    awaited.wake = nothing
    if (!awaited.isThere) return null
    this.#awaited = null
    return awaited.take()
  }
}
