import { EventQueue } from "./eventQueue.ts"
import { type BackendEvent, type TaskEvent, weighEvent } from "./events.ts"
import type { Timing } from "./timing.ts"
import { type Begun, Watch, type WatchOutput, type WatchTarget } from "./watch.ts"
import type { WatchHub } from "./watchHub.ts"

/** Bytes of events that wait for a slow reader before its watch is paused. */
const WATCH_BYTES_MAX = 4 * 1024 * 1024

/**
 * A watch for one reader, which begins with the first read, unless the server has begun it already.
 *
 * @param into - what is put into the reader's queue
 * @param begun - the subscription that is there
 */
export function readWatch<E extends TaskEvent | BackendEvent>(
  hub: WatchHub,
  timing: Timing,
  target: WatchTarget,
  signal: AbortSignal | undefined,
  into: (queue: EventQueue<E>) => Pick<WatchOutput, "event" | "backend">,
  begun: Begun | null = null,
): AsyncIterableIterator<E, undefined> {
  const abort = () => queue.fail(signal?.reason)
  const watch = new Watch(hub, timing, target, {
    event: (event) => output.event(event),
    backend: (event) => output.backend?.(event),
    finished: () => queue.finish(),
    failed: (error) => queue.fail(error),
  })
  const queue = new EventQueue<E>(
    {
      begin: () => watch.begin(),
      pause: () => watch.pause(),
      resume: () => watch.resume(),
      stop: () => {
        signal?.removeEventListener("abort", abort)
        watch.stop()
      },
    },
    WATCH_BYTES_MAX,
    weighEvent,
  )
  const output = into(queue)
  if (signal?.aborted === true) abort()
  else signal?.addEventListener("abort", abort, { once: true })
  if (begun !== null) watch.adopt(begun)
  return queue
}
