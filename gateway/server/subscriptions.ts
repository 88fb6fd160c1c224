/**
 * The watches of one connection.
 *
 *   W1. At most `subscriptionsMax` at once; one more is refused with TOO_MANY.
 *   W2. A subscription sends nothing before the answer that names it, and nothing after the answer that ends it.
 *   W3. It ends with `subscription.ended`, which says why; a connection that closes ends all of them without a word.
 */
import { type Cause, Effect, Exit, type Fiber } from "effect"
import type { BackendEvent, Watching, WatchEvent, WatchSink } from "../../actors/api.ts"
import { berthError, type BerthError } from "../../core/errors.ts"
import { writeNotification } from "../protocol/envelope.ts"
import type { WireEvent } from "../protocol/events.ts"
import { toWireBytes } from "../protocol/utf8.ts"
import { toWireError } from "../protocol/wireError.ts"
import type { Outbox } from "./outbox.ts"

/** An event as it is sent: its bytes as text where they are text. */
export function toWireEvent(event: WatchEvent | BackendEvent): WireEvent {
  if (event.type !== "output") return event
  const { bytes, ...rest } = event
  return { ...rest, ...toWireBytes(bytes) }
}

type Events = Watching<WatchEvent | BackendEvent>

interface Subscription {
  readonly events: Events
  fiber: Fiber.Fiber<void, BerthError> | null
}

export interface Subscriptions {
  /** Registers a watch without starting it. */
  readonly open: (events: Events) => Effect.Effect<string, BerthError>
  /** Starts one that was opened; without effect on others. */
  readonly start: (name: string) => void
  readonly end: (name: string) => Effect.Effect<void, BerthError>
  /** Ends all of them, telling why unless the connection is gone. */
  readonly endAll: (error: BerthError | null) => void
  readonly count: () => number
}

export function makeSubscriptions(
  outbox: Outbox,
  subscriptionsMax: number,
  changed: (by: number) => void,
  toTell: (cause: Cause.Cause<BerthError>) => BerthError,
): Subscriptions {
  const running = new Map<string, Subscription>()
  let opened = 0

  const drop = (name: string): Subscription | undefined => {
    const subscription = running.get(name)
    if (running.delete(name)) changed(-1)
    return subscription
  }
  const tellEnd = (name: string, error: BerthError | null): void =>
    outbox.send(
      writeNotification("subscription.ended", {
        subscription: name,
        error: error === null ? null : toWireError(error),
      }),
    )

  const sinkOf = (name: string, subscription: Subscription): WatchSink<WatchEvent | BackendEvent> => ({
    put: (event) => {
      // W2: what its watch still has to say when it is ended is not sent.
      if (running.get(name) === subscription)
        outbox.send(writeNotification("task.event", { subscription: name, event: toWireEvent(event) }))
    },
    isFull: outbox.isFull,
    room: outbox.room,
  })
  const ended = (name: string, exit: Exit.Exit<void, BerthError>): void => {
    if (drop(name) === undefined) return
    tellEnd(name, Exit.isSuccess(exit) ? null : toTell(exit.cause))
  }
  return {
    open: (events) =>
      Effect.suspend(() => {
        if (running.size >= subscriptionsMax)
          return Effect.fail(berthError("TOO_MANY", `a connection has at most ${subscriptionsMax} subscriptions`))
        const name = `s${++opened}`
        running.set(name, { events, fiber: null })
        changed(1)
        return Effect.succeed(name)
      }),
    start: (name) => {
      const subscription = running.get(name)
      if (subscription === undefined || subscription.fiber !== null) return
      subscription.fiber = Effect.runFork(subscription.events(sinkOf(name, subscription)))
      subscription.fiber.addObserver((exit) => ended(name, exit))
    },
    end: (name) =>
      Effect.suspend(() => {
        const subscription = drop(name)
        if (subscription === undefined)
          return Effect.fail(
            berthError("NOT_FOUND", "this connection has no such subscription", {
              path: "params.subscription",
              hint: "Use the name that task.watch answered.",
            }),
          )
        subscription.fiber?.interruptUnsafe()
        return Effect.void
      }),
    endAll: (error) => {
      for (const [name, { fiber }] of [...running]) {
        drop(name)
        fiber?.interruptUnsafe()
        if (error !== null) tellEnd(name, error)
      }
    },
    count: () => running.size,
  }
}
