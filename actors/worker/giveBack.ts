import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { resultWithoutExit } from "../../core/task/outcome.ts"
import type { TaskState } from "../../core/task/state.ts"
import { persist } from "../persist.ts"
import type { Deps } from "./held.ts"

/** After a crash of ours: the log decides what becomes of the task; its place is removed by the sweep. */
export const handBack = (deps: Deps, worker: string, taskId: string): Effect.Effect<void> => {
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
  return persist(once, deps.clock, deps.random).pipe(Effect.ignore)
}

/** The program itself cannot be had, now or ever: the attempt ends. */
export const refuse = (deps: Deps, state: TaskState, error: BerthError): Effect.Effect<void, BerthError> => {
  const nowMs = deps.clock.nowMs()
  const result = resultWithoutExit(state, { status: "failed", reason: "refused", message: error.message, nowMs })
  const ended = deps.turns.turn(state.id, { type: "exit", epoch: state.epoch, result, nowMs, jitter01: 0 })
  return Effect.asVoid(persist(ended, deps.clock, deps.random))
}
