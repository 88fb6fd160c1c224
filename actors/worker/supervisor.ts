/**
 * The parent of all live attempts of one worker: an XState actor that spawns them, forgets those that are done, and is told
 * when one crashes. A crash is a defect of ours, never the program's failure: the attempt is handed back to the log as lost,
 * and too many crashes are the worker's own failure (core/policy/supervise.ts decides).
 *
 *   SU1. One crashed attempt touches no other.
 *   SU2. Every attempt that was spawned is reported once, as done or as crashed.
 *   SU3. More crashes than the restart intensity allows escalate.
 */
import { type ActorRefFrom, createActor, enqueueActions, setup } from "xstate"
import { type RestartIntensity, supervise } from "../../core/policy/supervise.ts"
import type { Clock } from "../../core/ports/clock.ts"
import { type AttemptEvent, type AttemptInput, attemptMachine } from "./attempt.ts"

export interface SupervisorOptions {
  readonly clock: Clock["Service"]
  readonly intensity: RestartIntensity
  readonly onDone: (key: string) => void
  readonly onCrash: (key: string, error: unknown) => void
  readonly onEscalate: (reason: string) => void
}

type SupervisorEvent =
  | { readonly type: "spawn"; readonly key: string; readonly input: AttemptInput }
  | { readonly type: `xstate.done.actor.${string}`; readonly actorId: string }
  | { readonly type: `xstate.error.actor.${string}`; readonly actorId: string; readonly error: unknown }

const supervisorMachine = setup({
  types: {
    context: {} as { readonly options: SupervisorOptions; readonly crashesMonoMs: readonly number[] },
    events: {} as SupervisorEvent,
    input: {} as SupervisorOptions,
  },
  actors: { attempt: attemptMachine },
  actions: {
    spawn: enqueueActions(({ enqueue, event }) => {
      if (event.type === "spawn")
        enqueue.spawnChild("attempt", {
          id: (event as { key: string }).key,
          input: (event as { input: AttemptInput }).input,
        })
    }),
    forget: enqueueActions(({ context, enqueue, event }) => {
      const { actorId } = event as { actorId: string }
      enqueue.stopChild(actorId)
      enqueue(() => context.options.onDone(actorId))
    }),
    crashed: enqueueActions(({ context, enqueue, event }) => {
      const { actorId, error } = event as { actorId: string; error: unknown }
      const { clock, intensity } = context.options
      const failure = { monoMs: clock.monoMs(), disposition: "retryable", isOutage: false } as const
      const [directive, crashesMonoMs] = supervise(intensity, context.crashesMonoMs, failure)
      enqueue.stopChild(actorId)
      enqueue.assign({ crashesMonoMs })
      enqueue(() => context.options.onCrash(actorId, error))
      if (directive.type === "escalate") enqueue(() => context.options.onEscalate(directive.reason))
    }),
  },
}).createMachine({
  id: "supervisor",
  context: ({ input }) => ({ options: input, crashesMonoMs: [] }),
  on: {
    spawn: { actions: "spawn" },
    "xstate.done.actor.*": { actions: "forget" },
    "xstate.error.actor.*": { actions: "crashed" },
  },
})

export interface Supervisor {
  readonly spawn: (key: string, input: AttemptInput) => void
  readonly send: (key: string, event: AttemptEvent) => boolean
  readonly stop: () => void
}

export function startSupervisor(options: SupervisorOptions): Supervisor {
  const timers = new Map<number, () => void>()
  let nextTimer = 0
  const clock = {
    setTimeout: (callback: (...args: unknown[]) => void, ms: number): number => {
      const id = nextTimer++
      timers.set(
        id,
        options.clock.after(ms, () => {
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
  const actor = createActor(supervisorMachine, { input: options, clock })
  actor.subscribe({ error: (error) => options.onEscalate(String(error)) })
  actor.start()
  const child = (key: string) => actor.getSnapshot().children[key] as ActorRefFrom<typeof attemptMachine> | undefined
  return {
    spawn: (key, input) => actor.send({ type: "spawn", key, input }),
    send: (key, event) => {
      const ref = child(key)
      ref?.send(event)
      return ref !== undefined
    },
    stop: () => void actor.stop(),
  }
}
