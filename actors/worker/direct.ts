import { Effect } from "effect"
import type { Delivery, WakeUp } from "../../core/ports/queue.ts"
import type { Hands } from "./hands.ts"

/** More of them than any worker is sent wait elsewhere: the leader sends again what was not started. */
const DIRECT_MAX = 1_024

export interface Direct {
  readonly hands: Hands
  readonly accept: (delivery: Delivery) => Effect.Effect<void>
  readonly startsNothing: () => boolean
}

/** Wake-ups that were sent to this worker alone: each gets the next slot that is free. Nobody waits for their ack. */
export const makeDirect = ({ accept, hands, startsNothing }: Direct): ((wakeUp: WakeUp) => Effect.Effect<void>) => {
  const waiting = new Set<string>()

  const inTurn = (delivery: Delivery): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (startsNothing()) return Effect.void
      if (hands.freeCount > 0 || hands.has(delivery.wakeUp.taskId)) return accept(delivery)
      return Effect.andThen(hands.room, inTurn(delivery))
    })

  return (wakeUp) =>
    Effect.suspend(() => {
      const key = `${wakeUp.taskId}/${wakeUp.epoch}`
      if (waiting.has(key) || waiting.size >= DIRECT_MAX) return Effect.void
      waiting.add(key)
      return Effect.ensuring(
        inTurn({ wakeUp, ack: Effect.void, nak: Effect.void }),
        Effect.sync(() => void waiting.delete(key)),
      )
    })
}
