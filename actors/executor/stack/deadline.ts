import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { Clock } from "../../../core/ports/clock.ts"
import type { CallLayer } from "./layer.ts"

/** Longer than a timer can hold; such a call has no deadline. */
const TIMER_MS_MAX = 2 ** 31 - 1

/**
 * No answer within the call's deadline is BACKEND_UNAVAILABLE. The caller gets its answer in time even where the call does
 * not heed its interruption: the call runs in a fiber of its own, which is interrupted and not waited for. A caller that is
 * itself interrupted waits for the call to end, but not beyond the deadline.
 */
export const deadline =
  (clock: Clock["Service"]): CallLayer =>
  (inner) =>
  (call, run) => {
    if (call.deadlineMs > TIMER_MS_MAX) return inner(call, run)
    return inOwnFiber(inner(call, run), call.deadlineMs, clock, () =>
      berthError("BACKEND_UNAVAILABLE", `${call.name}: no answer within ${call.deadlineMs} ms`),
    )
  }

/** The call begins inside the callback: a caller that was interrupted before it begins nothing. */
const inOwnFiber = <A>(
  run: Effect.Effect<A, BerthError>,
  deadlineMs: number,
  clock: Clock["Service"],
  late: () => BerthError,
): Effect.Effect<A, BerthError> =>
  Effect.contextWith((context) =>
    Effect.callback<A, BerthError>((resume) => {
      const untilMonoMs = clock.monoMs() + deadlineMs
      const fiber = Effect.runForkWith(context)(run)
      const cancel = clock.after(deadlineMs, () => {
        resume(Effect.fail(late()))
        fiber.interruptUnsafe()
      })
      fiber.addObserver((exit) => {
        cancel()
        resume(exit)
      })
      return Effect.callback<void>((ended) => {
        const cancelWait = clock.after(Math.max(0, untilMonoMs - clock.monoMs()), () => ended(Effect.void))
        fiber.addObserver(() => {
          cancel()
          cancelWait()
          ended(Effect.void)
        })
        fiber.interruptUnsafe()
      })
    }),
  )
