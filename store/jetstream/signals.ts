import { Effect } from "effect"
import { berthError } from "../../core/errors.ts"
import type { Signals } from "../../core/ports/signals.ts"
import { decodePayload, encodePayload } from "../shared/payload.ts"
import { storeError } from "./failure.ts"
import type { Link } from "./link.ts"
import { type Names, toTokens } from "./token.ts"

/** Signals as plain messages of the broker: it keeps none, and drops what a connection does not take in time. */
export function makeSignals(link: Link, names: Names): Signals["Service"] {
  const { connection } = link
  const full = (subject: string): string => `${names.prefix}sig.${toTokens(subject)}`
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
      Effect.try({ try: () => full(subject), catch: storeError(`listening to ${subject}`) }).pipe(
        Effect.flatMap((own) =>
          link.listen(own, (message) => {
            try {
              onSignal(decodePayload(message.data))
            } catch {
              // A subscriber that fails loses this signal; the connection and the others do not notice (S2).
            }
          }),
        ),
      ),
  }
}
