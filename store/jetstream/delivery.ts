import type { Msg } from "@nats-io/transport-node"
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Delivery, WakeUp } from "../../core/ports/queue.ts"
import { decodePayload } from "../shared/payload.ts"
import type { Hints } from "./hints.ts"
import type { Link } from "./link.ts"
import { giveBack } from "./pulls.ts"

/**
 * A message in a worker's hands. It is settled once: an ack returns when the broker has confirmed it, and a later one
 * asks nothing, because the message may be somebody else's by then. One that cannot be read is thrown away, or it would
 * come back for ever: the log still has the task, and the reconciler wakes it again.
 */
export function deliveryOf(link: Link, hints: Hints, message: Msg): readonly Delivery[] {
  const wakeUp = wakeUpOf(message)
  if (wakeUp === null) {
    link.connection.publish(message.reply ?? "", "+TERM")
    return []
  }
  let isSettled = false
  const once = (how: Effect.Effect<void, BerthError>): Effect.Effect<void, BerthError> =>
    Effect.suspend(() =>
      isSettled
        ? Effect.void
        : Effect.map(how, () => {
            isSettled = true
          }),
    )
  const ack = link.request("settling a wake-up", message.reply ?? "", "+ACK")
  const nak = Effect.sync(() => {
    giveBack(link.connection, message)
    hints.tell(wakeUp.pool)
  })
  return [{ wakeUp, ack: once(Effect.asVoid(ack)), nak: once(nak) }]
}

const wakeUpOf = (message: Msg): WakeUp | null => {
  try {
    return decodePayload(message.data) as WakeUp
  } catch {
    return null
  }
}
