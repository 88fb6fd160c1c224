/** Says in the log that attempts stand still, and that they go on. Tried once: a store that is away cannot be told. */
import { Effect } from "effect"
import type { Deps } from "./held.ts"
import type { HeldPlace } from "./fence.ts"

type PhaseDeps = Pick<Deps, "turns" | "clock">
const TURNS_WIDE = 16

export const tellFenced = ({ clock, turns }: PhaseDeps, held: readonly HeldPlace[]): Effect.Effect<void> =>
  Effect.forEach(
    held,
    ({ epoch, taskId }) =>
      Effect.ignore(turns.turn(taskId, { type: "phase", epoch, phase: "fenced", nowMs: clock.nowMs() })),
    { concurrency: TURNS_WIDE, discard: true },
  )

export const tellGoesOn = ({ clock, turns }: PhaseDeps, held: readonly HeldPlace[]): Effect.Effect<void> =>
  Effect.forEach(
    held,
    ({ epoch, taskId }) =>
      turns.load(taskId).pipe(
        Effect.flatMap(({ state }) => {
          if (state.phase !== "fenced" || state.holder?.epoch !== epoch) return Effect.void
          const phase = state.stop === null ? "running" : "stopping"
          return Effect.asVoid(turns.turn(taskId, { type: "phase", epoch, phase, nowMs: clock.nowMs() }))
        }),
        Effect.ignore,
      ),
    { concurrency: TURNS_WIDE, discard: true },
  )
