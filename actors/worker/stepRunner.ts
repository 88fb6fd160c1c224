/**
 * What runs on behalf of an attempt's states: an effect begins when its state is entered and is interrupted when the state is
 * left. An actor of its own for each step, as `invoke` makes it, costs several times what the attempt's machine itself does.
 *
 *   SR1. The end of a step is told once, and never after the step was left.
 *   SR2. A step begins behind the transition that enters its state, never inside of it: it may use machines of its own.
 */
import { Cause, Effect, Exit, type Fiber } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { StepEnd, StepName } from "./steps.ts"

interface Running {
  /** Null until it has begun. */
  fiber: Fiber.Fiber<unknown, BerthError> | null
}

export class StepRunner {
  readonly #running = new Map<StepName, Running>()

  begin(step: StepName, effect: Effect.Effect<unknown, BerthError>, tell: (end: StepEnd) => void): void {
    const running: Running = { fiber: null }
    this.#running.set(step, running)
    const ended = (exit: Exit.Exit<unknown, BerthError>): void => {
      if (this.#running.get(step) !== running) return
      this.#running.delete(step)
      const end = Exit.isSuccess(exit)
        ? { type: `${step}.done`, output: exit.value }
        : { type: `${step}.failed`, error: Cause.squash(exit.cause) }
      // The machine's types tie each output to its step; here it is whatever the step's effect gave.
      tell(end as StepEnd)
    }
    queueMicrotask(() => {
      if (this.#running.get(step) !== running) return
      running.fiber = Effect.runFork(effect)
      // What it did at once may have made the machine leave this state, when there was no fiber to interrupt yet.
      if (this.#running.get(step) !== running) return running.fiber.interruptUnsafe()
      running.fiber.addObserver(ended)
    })
  }

  leave(step: StepName): void {
    const running = this.#running.get(step)
    this.#running.delete(step)
    running?.fiber?.interruptUnsafe()
  }

  leaveAll(): void {
    for (const step of [...this.#running.keys()]) this.leave(step)
  }
}
