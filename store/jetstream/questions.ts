/**
 * Questions to the broker, with one inbox for all their answers. The client's own `request` makes a timer and three promises
 * for each, and an error with its stack at every answer.
 *
 *   QU1. A question ends once: with its answer, or with an error: nobody listens on its subject, the broker refuses it, the wire
 *        broke (WI1), the connection was closed, or no answer came within `REQUEST_MS`.
 *   QU2. An answer goes to whom it is for; one that nobody waits for any more goes to nobody.
 *   QU3. Nothing is left behind by a question that has ended, or whose asker has gone.
 */
import {
  ClosedConnectionError,
  createInbox,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  NoRespondersError,
  TimeoutError,
} from "@nats-io/transport-node"
import { Exit } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import { storeError } from "./failure.ts"
import type { Refusals } from "./refusals.ts"
import { type Question, type Wire, WireBroken } from "./wire.ts"

export const REQUEST_MS = 5_000
const NOBODY = 503

export interface Asking<A> {
  /** What the question is for, as errors say it. */
  readonly what: string
  readonly subject: string
  readonly payload: Uint8Array | string
  readonly headers?: MsgHdrs | undefined
  /** The answer in a message; what it throws is what the question ends with. */
  readonly read: (message: Msg) => A
}

interface Open {
  readonly subject: string
  readonly dueMonoMs: number
  readonly answered: (message: Msg) => void
  readonly failed: (cause: unknown) => void
}

type Connection = Pick<NatsConnection, "publish" | "subscribe" | "closed">

export interface QuestionsOptions {
  readonly connection: Connection
  readonly clock: Clock["Service"]
  readonly wire: Wire
  readonly onRefused: Refusals["onRefused"]
}

export class Questions {
  readonly #connection: Connection
  readonly #clock: Clock["Service"]
  /** By token, in the order of their deadlines: each has the same time. */
  readonly #open = new Map<string, Open>()
  /** What the subjects of answers begin with, while there is a subscription for them. */
  #inbox: string | null = null
  #asked = 0
  #stopSweep: (() => void) | null = null

  constructor({ clock, connection, onRefused, wire }: QuestionsOptions) {
    this.#connection = connection
    this.#clock = clock
    const onBroken = (): void => {
      this.#failAll(new WireBroken())
      wire.onBroken(onBroken)
    }
    wire.onBroken(onBroken)
    onRefused("", (_, violation) => {
      for (const [token, { failed, subject }] of [...this.#open]) {
        if (subject === violation.subject && this.#open.delete(token)) failed(violation)
      }
    })
    connection.closed().then(
      () => {
        this.#failAll(new ClosedConnectionError())
        this.#stopSweep?.()
      },
      () => {},
    )
  }

  /** A question that is sent whenever it is asked. */
  question<A>({ what, subject, payload, headers, read }: Asking<A>): Question<A> {
    return (settle) => {
      const failed = (cause: unknown): void => settle(Exit.fail(storeError(what)(cause)))
      const answered = (message: Msg): void => {
        let answer: Exit.Exit<A, BerthError>
        try {
          answer = Exit.succeed(read(message))
        } catch (cause) {
          return failed(cause)
        }
        settle(answer)
      }
      const token = (this.#asked++).toString(36)
      const forget = (): void => void this.#open.delete(token)
      try {
        const reply = this.#inboxOpen() + token
        this.#connection.publish(subject, payload, headers === undefined ? { reply } : { reply, headers })
        this.#open.set(token, { subject, dueMonoMs: this.#clock.monoMs() + REQUEST_MS, answered, failed })
        this.#stopSweep ??= this.#clock.after(REQUEST_MS, this.#sweep)
      } catch (cause) {
        failed(cause)
      }
      return forget
    }
  }

  #inboxOpen(): string {
    if (this.#inbox !== null) return this.#inbox
    const inbox = `${createInbox()}.`
    this.#connection.subscribe(`${inbox}*`, {
      callback: (error, message) => {
        if (error === null) return this.#answered(message.subject.slice(inbox.length), message)
        this.#inbox = null
        this.#failAll(error)
      },
    })
    this.#inbox = inbox
    return inbox
  }

  #answered(token: string, message: Msg): void {
    const open = this.#open.get(token)
    if (open === undefined || !this.#open.delete(token)) return
    const isUnheard = message.data.length === 0 && message.headers?.code === NOBODY
    if (isUnheard) open.failed(new NoRespondersError(open.subject))
    else open.answered(message)
  }

  #failAll(cause: unknown): void {
    const those = [...this.#open.values()]
    this.#open.clear()
    for (const { failed } of those) failed(cause)
  }

  /** Those that failed may ask again at once, so they are told when all is in order here. */
  readonly #sweep = (): void => {
    const nowMonoMs = this.#clock.monoMs()
    const overdue: Open[] = []
    this.#stopSweep = null
    for (const [token, open] of this.#open) {
      if (open.dueMonoMs > nowMonoMs) {
        this.#stopSweep = this.#clock.after(open.dueMonoMs - nowMonoMs, this.#sweep)
        break
      }
      this.#open.delete(token)
      overdue.push(open)
    }
    for (const { failed } of overdue) failed(new TimeoutError())
  }
}
