/**
 * One handler, from its place being made until its outcome is known.
 *
 *   made ──begin──▶ running ──returns, throws──────────────▶ settled
 *     │                │                                        ▲
 *     └─stop, fence────┴─▶ aborted ──returns, grace passes──────┘
 *
 *   H1. The outcome is decided once; what comes later is ignored and counted.
 *   H2. Who aborted decides the outcome, whatever the handler then returns or throws.
 *   H3. A function cannot be ended from outside. One that does not heed its signal within the grace is given up:
 *       the task ends, and the function's late result counts for nothing.
 *   H4. A handler that was stopped before it began never begins.
 */
import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { Clock } from "../../../core/ports/clock.ts"
import type { AttemptSink, Exit, Job, StopMode } from "../../../core/ports/executor.ts"
import type { HandlerContext, HandlerDefinition } from "./definition.ts"
import { Outbox } from "./outbox.ts"
import { boundedValue, messageOf } from "./value.ts"

/** Why a handler's signal was aborted. `fence` and `detach` are this worker's doing, not the task's. */
export type AbortReason = StopMode | "silent" | "fence" | "detach"

/** Functions that were still running when their outcome was decided, and those of them that have ended since. */
export interface LateCounts {
  givenUp: number
  lateResults: number
}

type Outcome = Effect.Effect<Exit, BerthError>

export class RunningHandler {
  readonly #job: Job
  readonly #definition: HandlerDefinition
  readonly #input: unknown
  readonly #clock: Clock["Service"]
  readonly #late: LateCounts
  #controller: AbortController | null = null
  #outbox: Outbox | null = null
  #aborted: AbortReason | null = null
  #outcome: Outcome | null = null
  #isRunning = false
  #beganMonoMs: number | null = null
  #lastBeatMonoMs = 0
  #wake: (() => void) | null = null
  #cancelGrace: (() => void) | null = null
  #cancelHeartbeat: (() => void) | null = null

  constructor(job: Job, input: unknown, definition: HandlerDefinition, clock: Clock["Service"], late: LateCounts) {
    this.#job = job
    this.#definition = definition
    this.#input = input
    this.#clock = clock
    this.#late = late
  }

  /** Runs to the outcome; all that the handler said is with the sink by then (EX2). Interrupting it stops nothing. */
  run(sink: AttemptSink): Outcome {
    return Effect.suspend(() => {
      if (this.#outcome !== null) return this.#outcome
      return Effect.flatMap(sink.began, () => {
        this.#begin()
        // The usual handler says nothing and is done, or will be with one wake-up.
        return this.#outcome !== null && this.#outbox === null ? this.#outcome : this.#pump(sink)
      })
    })
  }

  #pump(sink: AttemptSink): Outcome {
    return Effect.suspend(() => {
      if (this.#outbox !== null && !this.#outbox.isEmpty) {
        return Effect.flatMap(this.#outbox.flush(sink), () => this.#pump(sink))
      }
      return this.#outcome ?? Effect.flatMap(this.#somethingNew(), () => this.#pump(sink))
    })
  }

  #somethingNew(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      this.#wake = () => resume(Effect.void)
    })
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  #begin(): void {
    // H4; and whoever calls `run` again joins the run that is under way.
    if (this.#outcome !== null || this.#isRunning) return
    this.#isRunning = true
    this.#beganMonoMs = this.#clock.monoMs()
    this.#armHeartbeat()
    try {
      const returned = this.#definition.run(this.#input, this.#context())
      if (isThenable(returned)) returned.then(this.#returned, this.#threw)
      else this.#returned(returned)
    } catch (thrown) {
      this.#threw(thrown)
    }
  }

  readonly #returned = (value: unknown): void => {
    this.#isRunning = false
    if (this.#outcome !== null) this.#late.lateResults++
    else if (this.#aborted !== null) this.#settle(this.#abortOutcome(this.#aborted, false))
    else this.#settle(this.#valueOutcome(value))
  }

  readonly #threw = (thrown: unknown): void => {
    this.#isRunning = false
    if (this.#outcome !== null) this.#late.lateResults++
    else if (this.#aborted !== null) this.#settle(this.#abortOutcome(this.#aborted, false))
    else this.#settle(this.#exit("failed", "handler_error", messageOf(thrown)))
  }

  /** Aborts the handler's signal; idempotent, but a kill does not wait for an earlier, gentler stop. */
  abort(reason: AbortReason, graceMs: number): void {
    if (this.#outcome !== null) return
    if (this.#aborted === null) {
      this.#aborted = reason
      this.#controller?.abort(abortCause(reason))
    } else if (reason !== "kill") return
    else if (isStop(this.#aborted)) this.#aborted = reason
    if (!this.#isRunning) return this.#settle(this.#abortOutcome(this.#aborted, false))
    this.#cancelGrace?.()
    if (graceMs <= 0) return this.#giveUp()
    this.#cancelGrace = this.#clock.after(graceMs, () => this.#giveUp())
  }

  #giveUp(): void {
    if (this.#outcome !== null || this.#aborted === null) return
    this.#late.givenUp++
    this.#settle(this.#abortOutcome(this.#aborted, true))
  }

  #settle(outcome: Outcome): void {
    this.#outcome = outcome
    this.#cancelGrace?.()
    this.#cancelHeartbeat?.()
    this.#notify()
  }

  #armHeartbeat(): void {
    const silenceMsMax = this.#definition.heartbeatMsMax
    if (silenceMsMax === null) return
    this.#lastBeatMonoMs = this.#clock.monoMs()
    const watch = (waitMs: number): void => {
      this.#cancelHeartbeat = this.#clock.after(waitMs, () => {
        const leftMs = this.#lastBeatMonoMs + silenceMsMax - this.#clock.monoMs()
        if (leftMs > 0) watch(leftMs)
        else this.abort("silent", this.#job.spec.graceMs)
      })
    }
    watch(silenceMsMax)
  }

  #context(): HandlerContext {
    const signal = () => this.#signal()
    return {
      // Most handlers never look at it, and it is the dearest part of the context.
      get signal() {
        return signal()
      },
      taskId: this.#job.taskId,
      attempt: this.#job.attempt,
      epoch: this.#job.epoch,
      progress: (data) => {
        const bounded = boundedValue(data)
        if (this.#outcome === null) this.#say((outbox) => outbox.progress(bounded))
      },
      heartbeat: () => {
        this.#lastBeatMonoMs = this.#clock.monoMs()
      },
      log: (text) => {
        if (this.#outcome === null) this.#say((outbox) => outbox.line(String(text)))
      },
    }
  }

  #say(put: (outbox: Outbox) => void): void {
    this.#outbox ??= new Outbox()
    put(this.#outbox)
    this.#notify()
  }

  #signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.#aborted !== null) this.#controller.abort(abortCause(this.#aborted))
    }
    return this.#controller.signal
  }

  #valueOutcome(returned: unknown): Outcome {
    try {
      return this.#exit("completed", "handler_returned", null, boundedValue(returned))
    } catch (thrown) {
      return this.#exit("failed", "handler_error", `the returned value was refused: ${messageOf(thrown)}`)
    }
  }

  #abortOutcome(reason: AbortReason, givenUp: boolean): Outcome {
    const note = givenUp ? "the handler was not waited for any longer; it may still be running" : null
    switch (reason) {
      case "cancel":
        return this.#exit("cancelled", "cancelled", note)
      case "kill":
        return this.#exit("cancelled", "killed", note)
      case "deadline":
        return this.#exit("timeout", "deadline", note)
      case "silent": {
        const silence = `no heartbeat for ${this.#definition.heartbeatMsMax ?? 0} ms`
        return this.#exit("failed", "handler_error", note === null ? silence : `${silence}; ${note}`)
      }
      case "fence":
      case "detach":
        return Effect.fail(handlerLost(`the handler was aborted because its worker ${abortWords[reason]}`))
    }
  }

  #exit(status: Exit["status"], reason: Exit["reason"], message: string | null, value: unknown = null): Outcome {
    return Effect.succeed({
      status,
      reason,
      message,
      exitCode: null,
      signal: null,
      wallMs: this.#beganMonoMs === null ? null : Math.max(0, this.#clock.monoMs() - this.#beganMonoMs),
      cpuMs: null,
      memoryPeakBytes: null,
      value,
    })
  }
}

/** Nothing of a handler outlives its process or its fence: infrastructure's failure, which uses up no attempt. */
export const handlerLost = (message: string): BerthError =>
  berthError("BACKEND_UNAVAILABLE", message, {
    hint: "The task starts again by itself; a handler cannot be continued.",
  })

const abortWords = { fence: "could not renew its lease", detach: "is stopping" } as const

const isStop = (reason: AbortReason): boolean => reason === "cancel" || reason === "deadline"

/** `signal.reason`: an AbortError, as the platform's own functions expect it. */
const abortCause = (reason: AbortReason): DOMException =>
  new DOMException(`the task was stopped: ${reason}`, "AbortError")

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  (typeof value === "object" || typeof value === "function") &&
  value !== null &&
  "then" in value &&
  typeof value.then === "function"
