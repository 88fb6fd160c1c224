import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { resultWithoutExit } from "../../core/task/outcome.ts"
import type { TaskState } from "../../core/task/state.ts"
import { persist } from "../persist.ts"
import type { Deps, Held } from "./held.ts"

/**
 * After a crash of ours: the log decides what becomes of the task. A place that the log still holds is its holder's, any other
 * goes away; what cannot be removed now is left to the sweep.
 */
export const handBack = (deps: Deps, worker: string, taskId: string, held: Held | null): Effect.Effect<void> => {
  const once = deps.turns.load(taskId).pipe(
    Effect.flatMap(({ state }) => {
      if (state.holder?.worker !== worker) return Effect.void
      const message = "the attempt's actor crashed"
      const chance = { nowMs: deps.clock.nowMs(), jitter01: deps.random.next01() }
      const loss = {
        type: "lose",
        epoch: state.epoch,
        cause: "infrastructure",
        message,
        overlapPossible: true,
      } as const
      return Effect.asVoid(deps.turns.turn(taskId, { ...loss, ...chance }))
    }),
  )
  const handedBack = persist(once, deps.clock, deps.random).pipe(Effect.ignore)
  return held === null ? handedBack : Effect.andThen(handedBack, Effect.ignore(leave(deps, held)))
}

const leave = (deps: Deps, { executor, job, place }: Held): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    if (place === null) return
    const { state } = yield* deps.turns.load(job.taskId)
    const isHeld = place.containerId !== null && state.holder?.containerId === place.containerId
    yield* isHeld ? executor.detach(job, place) : executor.remove(job, place)
  })

/** The program itself cannot be had, now or ever: the attempt ends. */
export const refuse = (deps: Deps, state: TaskState, error: BerthError): Effect.Effect<void, BerthError> => {
  const nowMs = deps.clock.nowMs()
  const result = resultWithoutExit(state, { status: "failed", reason: "refused", message: error.message, nowMs })
  const ended = deps.turns.turn(state.id, { type: "exit", epoch: state.epoch, result, nowMs, jitter01: 0 })
  return Effect.asVoid(persist(ended, deps.clock, deps.random))
}
