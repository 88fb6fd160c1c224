/**
 * What leaves a connection, and what happens when nobody reads it.
 *
 *   O1. While `unsentBytesMax` or more wait, watches pause: they pull nothing from the log, so memory stays bounded.
 *   O2. Reading pauses too: who does not take answers may not ask more.
 *   O3. Above it for `unsentMsMax` without a break: closed with 1013. A client loses nothing, it resumes by sequence.
 */
import { Effect } from "effect"
import type { Clock } from "../../core/ports/clock.ts"
import { CLOSE_CODES, type CloseCode } from "../protocol/limits.ts"
import type { DoorLimits } from "./limits.ts"

/** The other end, whatever carries it. */
export interface Link {
  /** Hands over one message; `taken` is called once it has left this process, or never. */
  readonly send: (text: string, taken: () => void) => void
  readonly unsentBytes: () => number
  readonly pause: () => void
  readonly resume: () => void
  readonly close: (code: CloseCode, reason: string) => void
}

export interface Outbox {
  /** Sends, whether or not there is room: for answers, of which there are no more than requests in flight. */
  readonly send: (text: string) => void
  /** The reader is behind: who has events waits for `room`, and looks again before each. */
  readonly isFull: () => boolean
  readonly room: Effect.Effect<void>
  /** Nothing is sent any more. */
  readonly close: () => void
}

export function makeOutbox(link: Link, clock: Clock["Service"], limits: DoorLimits): Outbox {
  let open = true
  let waiting: (() => void)[] = []
  let disarm: (() => void) | null = null
  const isFull = () => open && link.unsentBytes() >= limits.unsentBytesMax

  const relieved = (): void => {
    disarm?.()
    disarm = null
    link.resume()
    const woken = waiting
    waiting = []
    // Each looks again before it sends, so together they exceed the bound by one record's events at most.
    for (const wake of woken) wake()
  }
  const taken = (): void => {
    if (open && (disarm !== null || waiting.length > 0) && !isFull()) relieved()
  }
  const send = (text: string): void => {
    if (!open) return
    link.send(text, taken)
    if (disarm !== null || !isFull()) return
    link.pause()
    disarm = clock.after(limits.unsentMsMax, () => {
      link.close(
        CLOSE_CODES.tryAgainLater,
        "RATE_LIMITED: the reader is too slow; connect again and resume by sequence",
      )
    })
  }
  const untilRelieved = Effect.callback<void>((resume) => {
    const wake = () => resume(Effect.void)
    waiting.push(wake)
    return Effect.sync(() => {
      waiting = waiting.filter((other) => other !== wake)
    })
  })
  const room: Effect.Effect<void> = Effect.suspend(() => (isFull() ? Effect.andThen(untilRelieved, room) : Effect.void))
  return {
    send,
    isFull,
    room,
    close: () => {
      open = false
      disarm?.()
      disarm = null
    },
  }
}
