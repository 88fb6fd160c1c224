/**
 * The layers around one backend. Read it top down: the first layer meets the call first.
 *
 *   shed → traced → start width → retry if safe → call slots → breaker → deadline → call
 *
 * Why this order:
 *   X0. shed stands before all others: while the breaker is open there may be very many calls, and each costs one look.
 *   X1. traced is around everything that takes time: what a caller waited for is what is measured, whichever layer took the time.
 *   X2. start width is outside retry: a call keeps its turn while it is repeated, and waiting in the line moves no breaker.
 *   X3. retry is outside the breaker: each repeat is judged by itself, and an open breaker ends the repeating at once.
 *   X4. the deadline is inside the breaker: a hung backend shows up as a failure, and so opens the circuit.
 *   X5. call slots are inside retry: a call that waits to be repeated keeps no slot; they are outside the breaker and the deadline:
 *       waiting in their line moves no breaker. Who waits for the start width keeps none either.
 *   X6. nothing here repeats an attempt: that is durable, so only the task machine may start another one.
 *
 * The run slots of a worker (actors/worker/hands.ts) lie outside of all this, around the whole attempt.
 */
import type { Guard } from "../guard.ts"
import { type CallLayer, direct } from "./layer.ts"

export interface StackLayers {
  readonly shed: CallLayer
  readonly traced: CallLayer
  readonly startWidth: CallLayer
  readonly retryIfSafe: CallLayer
  readonly callSlots: CallLayer
  readonly breaker: CallLayer
  readonly deadline: CallLayer
}

/** The layers as one function, in the order above. */
export const executorStack = (layers: StackLayers): Guard =>
  layers.shed(
    layers.traced(layers.startWidth(layers.retryIfSafe(layers.callSlots(layers.breaker(layers.deadline(direct)))))),
  )
