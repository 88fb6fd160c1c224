import { Context, type Effect } from "effect"

/** The only source of time. Wall time is for people and for the store; durations are measured on the monotonic clock. */
export class Clock extends Context.Service<
  Clock,
  {
    /** Epoch milliseconds; may jump either way. */
    readonly nowMs: () => number
    /** Milliseconds since some start of this process; never falls. Never stored. */
    readonly monoMs: () => number
    readonly sleep: (ms: number) => Effect.Effect<void>
    /** Calls back once after `ms` unless cancelled. For callers that are no effects, such as live state machines. */
    readonly after: (ms: number, callback: () => void) => () => void
  }
>()("core/ports/Clock") {}
