import { Effect } from "effect"
import { berthError } from "../../core/errors.ts"
import type { Signals } from "../../core/ports/signals.ts"
import { decodePayload, encodePayload } from "../shared/payload.ts"
import { storeError } from "./failure.ts"
import type { Link } from "./link.ts"
import { type Names, toToken } from "./token.ts"

/** Signals as plain messages of the broker: it keeps none, and drops what a connection does not take in time. */
export function makeSignals(link: Link, names: Names): Signals["Service"] {
  const { connection } = link
  const full = (subject: string): string => `${names.prefix}sig.${subject.split(".").map(toToken).join(".")}`
  const bytesMax = connection.info?.max_payload ?? 1024 * 1024

  const send = (subject: string, payload: unknown): void => {
    const bytes = encodePayload(payload)
    if (bytes.byteLength > bytesMax) throw berthError("TOO_LARGE", `a signal is at most ${bytesMax} bytes`)
    connection.publish(full(subject), bytes)
  }
  return {
    publish: (subject, payload) =>
      Effect.try({ try: () => send(subject, payload), catch: storeError(`signalling ${subject}`) }),
    subscribe: (subject, onSignal) =>
      Effect.acquireRelease(
        Effect.try({
          try: () =>
            connection.subscribe(full(subject), {
              callback: (error, message) => {
                if (error !== null) return
                try {
                  onSignal(decodePayload(message.data))
                } catch {
                  // A subscriber that fails loses this signal; the connection and the others do not notice (S2).
                }
              },
            }),
          catch: storeError(`listening to ${subject}`),
        }),
        (subscription) => Effect.sync(() => subscription.unsubscribe()),
      ).pipe(
        // Once the broker has answered, what anybody publishes is heard.
        Effect.andThen(link.ask(`listening to ${subject}`, () => connection.flush())),
      ),
  }
}
