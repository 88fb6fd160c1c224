/**
 * Everything that stands around one backend: an engine, image pulls, blobs. Each has its own breaker and its own slots, so
 * that what is wrong with one is nobody else's problem; the budget of repeats is the whole process's.
 */
import type { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import { BREAKER_LIMITS, type BreakerLimits } from "../../../core/policy/breaker.ts"
import type { RetryPolicy } from "../../../core/policy/retry.ts"
import type { Clock } from "../../../core/ports/clock.ts"
import type { Random } from "../../../core/ports/random.ts"
import type { Guard } from "../guard.ts"
import { Breaker, type BreakerChange, type BreakerView } from "./breaker.ts"
import { Bulkhead, type BulkheadLimits } from "./bulkhead.ts"
import { callSlots } from "./callSlots.ts"
import { deadline } from "./deadline.ts"
import { PING_LIMITS, Pinger, type PingLimits } from "./pinger.ts"
import { retryIfSafe } from "./retry.ts"
import type { SharedRetryBudget } from "./retryBudget.ts"
import { executorStack } from "./stack.ts"
import { startWidth } from "./startWidth.ts"
import { type CallObservation, traced } from "./traced.ts"

export interface BackendOptions {
  readonly clock: Clock["Service"]
  readonly random: Random["Service"]
  /** Shared by all backends of the process. */
  readonly budget: SharedRetryBudget
  readonly breaker?: Partial<BreakerLimits>
  /** For calls that are safe to repeat. Default: 3 attempts in all, 50 ms doubling up to 1 s. */
  readonly retry?: RetryPolicy
  /** Starts at a time, see START_WIDTH. */
  readonly startWidth?: number
  /** Calls at a time. Default 64 with 1,024 waiting for at most 60 s. */
  readonly slots?: BulkheadLimits
  /** Asks the backend whether it is there; without it only real calls probe. */
  readonly ping?: Effect.Effect<unknown, BerthError>
  readonly pingLimits?: Partial<PingLimits>
  readonly observe?: (observation: CallObservation) => void
  /** A span around each call, for a tracer of the embedding program. Default false. */
  readonly spans?: boolean
}

/** For `system.info` and metrics. */
export interface BackendView extends BreakerView {
  readonly backend: string
  readonly accepting: boolean
  readonly slotsInUse: number
  readonly slotsWaiting: number
  readonly startsWaiting: number
}

export interface Backend {
  readonly name: string
  /** All layers, around one call. */
  readonly guard: Guard
  /** False unless the breaker is closed: start nothing new. */
  readonly accepting: () => boolean
  readonly state: () => BackendView
  /** Returns the way to stop listening. A listener returns at once and does not throw. */
  readonly onChange: (listener: (change: BreakerChange) => void) => () => void
  /** Ends the pings. Calls may still be made. */
  readonly close: () => void
}

/** Containers that start at once; measured by bench/startWidth.ts. */
export const START_WIDTH = 4

const SLOTS: BulkheadLimits = { slots: 64, waitingMax: 1_024, waitMsMax: 60_000 }
const STARTS_WAITING_MAX = 1_024
const START_WAIT_MS_MAX = 120_000
const CALL_RETRY: RetryPolicy = { maxAttempts: 3, delayMsInitial: 50, delayMsMax: 1_000, factor: 2 }

/** @param name - for people, spans and metrics: `docker`, `pull`, `blobs`, … */
export function makeBackend(name: string, options: BackendOptions): Backend {
  const { clock, random, budget } = options
  const breaker = new Breaker({ backend: name, limits: { ...BREAKER_LIMITS, ...options.breaker }, clock, random })
  const slots = new Bulkhead(`${name} slots`, options.slots ?? SLOTS, clock)
  const starts = new Bulkhead(
    `${name} starts`,
    { slots: options.startWidth ?? START_WIDTH, waitingMax: STARTS_WAITING_MAX, waitMsMax: START_WAIT_MS_MAX },
    clock,
  )
  const guard = executorStack({
    shed: breaker.shed,
    traced: traced(name, clock, options.observe ?? (() => undefined), options.spans ?? false),
    startWidth: startWidth(starts),
    retryIfSafe: retryIfSafe({
      policy: options.retry ?? CALL_RETRY,
      budget,
      clock,
      random,
      mayRepeat: () => breaker.isClosed(),
    }),
    callSlots: callSlots(slots),
    breaker: breaker.layer,
    deadline: deadline(clock),
  })
  const pingLimits = { ...PING_LIMITS, ...options.pingLimits }
  const pinger = options.ping === undefined ? null : new Pinger(guard, options.ping, breaker, pingLimits, clock)
  return {
    name,
    guard,
    accepting: () => breaker.isClosed(),
    state: () => ({
      ...breaker.view(),
      backend: name,
      accepting: breaker.isClosed(),
      slotsInUse: slots.inUse(),
      slotsWaiting: slots.waiting(),
      startsWaiting: starts.waiting(),
    }),
    onChange: (listener) => breaker.onChange(listener),
    close: () => pinger?.close(),
  }
}
