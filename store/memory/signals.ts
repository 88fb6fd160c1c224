import { Effect, Layer } from "effect"
import { Signals } from "../../core/ports/signals.ts"
import { decodePayload, encodePayload } from "../shared/payload.ts"
import { step } from "./log.ts"

/** Signals that one subscription has not yet taken; more are lost (S2). */
const PENDING_MAX = 1_024

interface Subscription {
  readonly onSignal: (payload: unknown) => void
  readonly pending: Uint8Array[]
}

/** Signals in memory: delivered soon, never inside `publish`, so that no subscriber can hold or break a publisher. */
export function makeMemorySignals(): Signals["Service"] {
  const subscriptions = new Map<string, Set<Subscription>>()

  const drain = (subject: string, subscription: Subscription): void => {
    for (const bytes of subscription.pending.splice(0)) {
      if (subscriptions.get(subject)?.has(subscription) !== true) return
      try {
        subscription.onSignal(decodePayload(bytes))
      } catch {
        // A subscriber that fails loses this signal; the others and the publisher do not notice (S2).
      }
    }
  }
  const offer = (subject: string, subscription: Subscription, bytes: Uint8Array): void => {
    if (subscription.pending.length >= PENDING_MAX) return
    subscription.pending.push(bytes)
    if (subscription.pending.length === 1) queueMicrotask(() => drain(subject, subscription))
  }
  const add = (subject: string, subscription: Subscription): void => {
    const those = subscriptions.get(subject)
    if (those === undefined) subscriptions.set(subject, new Set([subscription]))
    else those.add(subscription)
  }
  const remove = (subject: string, subscription: Subscription): void => {
    const those = subscriptions.get(subject)
    those?.delete(subscription)
    if (those?.size === 0) subscriptions.delete(subject)
  }
  return {
    publish: (subject, payload) =>
      step(() => {
        const those = subscriptions.get(subject)
        // What a program prints is published as well; nobody's copy of it would be most of the work.
        if (those === undefined) return
        const bytes = encodePayload(payload)
        for (const subscription of those) offer(subject, subscription, bytes)
      }),
    subscribe: (subject, onSignal) => {
      const subscription: Subscription = { onSignal, pending: [] }
      return Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => add(subject, subscription)),
          () => Effect.sync(() => remove(subject, subscription)),
        ),
      )
    },
  }
}

export const memorySignals: Layer.Layer<Signals> = Layer.sync(Signals, makeMemorySignals)
