/**
 * The queue in memory. A message is in exactly one of two places: waiting in its lane, or in somebody's hands with a timer.
 *
 *   waiting ──pull──▶ held ──ack──▶ gone
 *      ▲                │
 *      └──nak, ackWait──┘
 */
import { Effect, Layer } from "effect"
import { berthError } from "../../core/errors.ts"
import { Clock } from "../../core/ports/clock.ts"
import { type Delivery, Queue, type WakeUp } from "../../core/ports/queue.ts"
import { LANES, type Lane } from "../../core/words.ts"
import { step } from "./log.ts"

export interface QueueOptions {
  /** A delivery that was neither acked nor given back by then is delivered again. Default 30,000. */
  readonly ackWaitMs?: number
  /** Messages that wait or are held; more are refused with OVERLOADED. Default 100,000. */
  readonly messagesMax?: number
}

interface Message {
  readonly wakeUp: WakeUp
  /** Cancels the timer of whoever holds it; null while it waits. */
  release: (() => void) | null
  /** Counts hands: only the present holder may give it back. */
  hand: number
}

type Lanes = Readonly<Record<Lane, Map<string, Message>>>

export function makeMemoryQueue(clock: Clock["Service"], options: QueueOptions = {}): Queue["Service"] {
  const { ackWaitMs = 30_000, messagesMax = 100_000 } = options
  const messages = new Map<string, Message>()
  const pools = new Map<string, Lanes>()
  const pullers = new Map<string, Set<() => void>>()

  const lanesOf = (pool: string): Lanes => {
    const lanes = pools.get(pool) ?? { urgent: new Map(), high: new Map(), normal: new Map(), low: new Map() }
    pools.set(pool, lanes)
    return lanes
  }
  const makeWait = (message: Message): void => {
    const { pool, lane, taskId } = message.wakeUp
    message.release?.()
    message.release = null
    lanesOf(pool)[lane].set(taskId, message)
    for (const wake of [...(pullers.get(pool) ?? [])]) wake()
  }
  const remove = (message: Message): void => {
    const { pool, lane, taskId } = message.wakeUp
    // A late ack counts: whoever has it in hand meanwhile finds nothing to start (the log decides).
    if (messages.get(taskId) !== message) return
    messages.delete(taskId)
    message.release?.()
    lanesOf(pool)[lane].delete(taskId)
  }
  const hold = (message: Message): Delivery => {
    const hand = ++message.hand
    const giveBack = (): void => {
      if (message.hand === hand && message.release !== null && messages.get(message.wakeUp.taskId) === message)
        makeWait(message)
    }
    message.release = clock.after(ackWaitMs, giveBack)
    return {
      wakeUp: message.wakeUp,
      ack: Effect.sync(() => remove(message)),
      nak: Effect.sync(giveBack),
    }
  }
  const take = (pool: string, countMax: number): readonly Delivery[] => {
    const taken: Delivery[] = []
    for (const lane of LANES) {
      for (const [taskId, message] of lanesOf(pool)[lane]) {
        if (taken.length >= countMax) return taken
        lanesOf(pool)[lane].delete(taskId)
        taken.push(hold(message))
      }
    }
    return taken
  }
  /** Until a message of the pool waits, or the time has come; every puller looks then, the first one finds it. */
  const changed = (pool: string, untilMonoMs: number): Effect.Effect<void> =>
    Effect.callback<void>((resume) => {
      const those = pullers.get(pool) ?? new Set()
      pullers.set(pool, those)
      const stop = (): void => {
        those.delete(wake)
        cancel()
      }
      const wake = (): void => {
        stop()
        resume(Effect.void)
      }
      const cancel = clock.after(untilMonoMs - clock.monoMs(), wake)
      those.add(wake)
      return Effect.sync(stop)
    })
  const publish = (wakeUp: WakeUp): void => {
    if (messages.has(wakeUp.taskId)) return
    if (messages.size >= messagesMax) throw berthError("OVERLOADED", `the queue holds at most ${messagesMax} messages`)
    const message: Message = { wakeUp: { ...wakeUp }, release: null, hand: 0 }
    messages.set(wakeUp.taskId, message)
    makeWait(message)
  }
  return {
    publish: (wakeUps) => step(() => wakeUps.forEach(publish)),
    pull: (pool, countMax, waitMs) =>
      Effect.suspend(() => {
        const untilMonoMs = clock.monoMs() + waitMs
        const attempt: Effect.Effect<readonly Delivery[]> = Effect.suspend(() => {
          const taken = take(pool, countMax)
          if (taken.length > 0 || clock.monoMs() >= untilMonoMs) return Effect.succeed(taken)
          return Effect.andThen(changed(pool, untilMonoMs), attempt)
        })
        return attempt
      }),
    withdraw: ({ taskId }) =>
      Effect.sync(() => {
        const message = messages.get(taskId)
        if (message !== undefined && message.release === null) remove(message)
      }),
    waiting: (pool) =>
      Effect.sync(
        () => Object.fromEntries(LANES.map((lane) => [lane, lanesOf(pool)[lane].size])) as Record<Lane, number>,
      ),
  }
}

export const memoryQueue = (options: QueueOptions = {}): Layer.Layer<Queue, never, Clock> =>
  Layer.effect(
    Queue,
    Effect.map(Clock, (clock) => makeMemoryQueue(clock, options)),
  )
