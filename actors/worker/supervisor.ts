/**
 * The parent of all live attempts of one worker: it starts their XState actors, forgets those that are done, and is told
 * when one crashes. A crash is a defect of ours, never the program's failure: the attempt is handed back to the log as lost,
 * and too many crashes are the worker's own failure (core/policy/supervise.ts decides).
 *
 *   SU1. One crashed attempt touches no other.
 *   SU2. Every attempt that was spawned is reported once, as done or as crashed.
 *   SU3. More crashes than the restart intensity allows escalate.
 */
import { type ActorRefFrom, createActor } from "xstate"
import { type RestartIntensity, supervise } from "../../core/policy/supervise.ts"
import type { Clock } from "../../core/ports/clock.ts"
import { type AttemptEvent, type AttemptInput, attemptMachine } from "./attempt.ts"
import { StepRunner } from "./stepRunner.ts"

export interface SupervisorOptions {
  readonly clock: Clock["Service"]
  readonly intensity: RestartIntensity
  readonly onDone: (key: string) => void
  readonly onCrash: (key: string, error: unknown) => void
  readonly onEscalate: (reason: string) => void
}

interface Child {
  readonly actor: ActorRefFrom<typeof attemptMachine>
  readonly runner: StepRunner
}

export interface Supervisor {
  /** @param wish - is heeded before the first step has ended; null: none */
  readonly spawn: (key: string, input: AttemptInput, wish: "detach" | "abandon" | null) => void
  readonly send: (key: string, event: AttemptEvent) => boolean
  readonly stop: () => void
}

/** Time limits of attempts on the port's clock. */
const timersOn = (clock: Clock["Service"]) => {
  const timers = new Map<number, () => void>()
  let nextTimer = 0
  return {
    setTimeout: (callback: (...args: unknown[]) => void, ms: number): number => {
      const id = nextTimer++
      timers.set(
        id,
        clock.after(ms, () => {
          timers.delete(id)
          callback()
        }),
      )
      return id
    },
    clearTimeout: (id: number): void => {
      timers.get(id)?.()
      timers.delete(id)
    },
  }
}

export function startSupervisor(options: SupervisorOptions): Supervisor {
  const { intensity, onCrash, onDone, onEscalate } = options
  const clock = timersOn(options.clock)
  const children = new Map<string, Child>()
  let crashesMonoMs: readonly number[] = []

  const crashed = (key: string, error: unknown): void => {
    const failure = { monoMs: options.clock.monoMs(), disposition: "retryable", isOutage: false } as const
    const [directive, recent] = supervise(intensity, crashesMonoMs, failure)
    crashesMonoMs = recent
    onCrash(key, error)
    if (directive.type === "escalate") onEscalate(directive.reason)
  }
  /** Takes a child off the list, with all that runs for it; false when it is not there any more (SU2). */
  const drop = (key: string, { actor, runner }: Child): boolean => {
    if (children.get(key)?.actor !== actor) return false
    runner.leaveAll()
    return children.delete(key)
  }
  return {
    spawn: (key, input, wish) => {
      const runner = new StepRunner()
      // A root of its own: a parent machine copies the list of all its children with each that comes or goes.
      const actor = createActor(attemptMachine, { id: key, input: { ...input, runner }, clock })
      const child = { actor, runner }
      children.set(key, child)
      actor.subscribe({
        complete: () => {
          if (drop(key, child)) onDone(key)
        },
        error: (error) => {
          if (drop(key, child)) crashed(key, error)
        },
      })
      if (wish !== null) actor.send({ type: wish })
      actor.start()
    },
    send: (key, event) => {
      const child = children.get(key)
      child?.actor.send(event)
      return child !== undefined
    },
    stop: () => {
      for (const [key, child] of [...children]) {
        drop(key, child)
        child.actor.stop()
      }
    },
  }
}
