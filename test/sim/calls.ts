/**
 * The fault layer: every call of a port waits for its turn, and then is carried out, refused, put off, carried out twice, or
 * carried out and answered with a failure.
 */
import { Effect, Exit } from "effect"
import { berthError, type BerthError, type ErrorCode } from "../../core/errors.ts"
import type { Life, Schedule, Waiting } from "./schedule.ts"

export type Fault = "refused" | "replyLost" | "delayed" | "repeated"

/** Whether faults happen at all, and how often; the liveness mode ends them. */
export interface Weather {
  faultChance: number
  readonly counts: Map<string, number>
}

export interface Calls {
  /** @param effect - one step of a memory adapter; it never waits */
  readonly call: <A>(
    label: string,
    effect: Effect.Effect<A, BerthError>,
    faults: readonly Fault[],
  ) => Effect.Effect<A, BerthError>
  readonly life: Life
}

const DELAY_MS_MAX = 2_500

export const count = (weather: Weather, what: string): void =>
  void weather.counts.set(what, (weather.counts.get(what) ?? 0) + 1)

/** @param code - what a call that is refused fails with */
export function makeCalls(
  schedule: Schedule,
  weather: Weather,
  life: Life,
  code: ErrorCode = "STORE_UNAVAILABLE",
): Calls {
  const failed = (): Effect.Effect<never, BerthError> => Effect.fail(berthError(code, "injected"))

  const call: Calls["call"] = (label, effect, faults) =>
    Effect.callback((resume) => {
      let fault: Fault | null = null
      if (faults.length > 0 && schedule.chance(weather.faultChance)) fault = schedule.pick(faults)
      if (fault !== null) count(weather, fault)
      const carriedOut = () => Effect.runSyncExit(effect)
      const waiting: Waiting = {
        label: fault === null ? label : `${label} ${fault}`,
        life,
        readyAtMs: schedule.nowMs + (fault === "delayed" ? schedule.whole(1, DELAY_MS_MAX) : 0),
        happen: () => {
          if (fault === "refused") return resume(failed())
          const exit = carriedOut()
          if (fault === "repeated") carriedOut()
          if (!Exit.isSuccess(exit) || fault !== "replyLost") return resume(exit)
          resume(failed())
        },
        ...(fault === "refused" ? {} : { happenUnheard: () => void carriedOut() }),
      }
      schedule.add(waiting)
      // A caller that goes away takes back a request that has not left yet; one that has left is carried out all the same.
      return Effect.sync(() => {
        schedule.remove(waiting)
        const { happenUnheard } = waiting
        if (happenUnheard === undefined || life.isOver || schedule.chance(0.5)) return
        schedule.add({ label: `unheard ${label}`, life: null, readyAtMs: schedule.nowMs, happen: happenUnheard })
      })
    })
  return { call, life }
}
