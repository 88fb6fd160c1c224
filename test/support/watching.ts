/** A watch as a stream, for tests that are readers: full while `bufferedMax` events wait to be taken. */
import { Effect, Queue, Stream } from "effect"
import type { Watching } from "../../actors/api.ts"
import type { BerthError } from "../../core/errors.ts"

export const streamOf = <E>(watch: Watching<E>, bufferedMax = 64): Stream.Stream<E, BerthError> => {
  let buffered = 0
  let wakers: (() => void)[] = []
  const isFull = () => buffered >= bufferedMax
  const relieved = Effect.callback<void>((resume) => {
    const wake = () => resume(Effect.void)
    wakers.push(wake)
    return Effect.sync(() => {
      wakers = wakers.filter((other) => other !== wake)
    })
  })
  const room: Effect.Effect<void> = Effect.suspend(() => (isFull() ? Effect.andThen(relieved, room) : Effect.void))
  const taken = Effect.sync(() => {
    buffered -= 1
    const woken = wakers
    wakers = []
    for (const wake of woken) wake()
  })
  const events = Stream.callback<E, BerthError>(
    (queue) => {
      const put = (event: E): void => {
        buffered += 1
        Queue.offerUnsafe(queue, event)
      }
      return Effect.catch(Effect.andThen(watch({ put, isFull, room }), Queue.end(queue)), (error) =>
        Queue.fail(queue, error),
      )
    },
    { bufferSize: Number.POSITIVE_INFINITY },
  )
  return Stream.tap(events, () => taken)
}
