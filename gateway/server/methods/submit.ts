/** `task.submit` and what it checks that a schema cannot: the caller's lane, the clock, the catalogue. It may open a watch. */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import type { Principal } from "../../../actors/api.ts"
import { berthError, type BerthError } from "../../../core/errors.ts"
import { LIMITS } from "../../../core/limits.ts"
import { runtimeByName } from "../../../core/runtime/catalogue.ts"
import type { SubmitRequest } from "../../../core/task/request.ts"
import { type Lane, laneRank } from "../../../core/words.ts"
import type { Method } from "./call.ts"

/** The lane that an unnamed one stands for. */
const LANE_DEFAULT: Lane = "normal"

/** FORBIDDEN when a lane is more urgent than the principal may use. */
export const laneError = (principal: Principal, lane: Lane | undefined): BerthError | null =>
  lane !== undefined && laneRank(lane) < laneRank(principal.laneMax)
    ? berthError("FORBIDDEN", `the token allows no lane above ${principal.laneMax}`, { path: "params.lane" })
    : null

function timeError(request: SubmitRequest, nowMs: number): BerthError | null {
  for (const field of ["startAtMs", "startByMs"] as const) {
    const atMs = request[field]
    if (atMs !== undefined && atMs > nowMs + LIMITS.startAheadMsMax)
      return berthError("INVALID_PARAMS", `params.${field}: must be at most ${LIMITS.startAheadMsMax} ms ahead`, {
        path: `params.${field}`,
      })
  }
  return null
}

const runtimeError = (runtime: string | undefined): BerthError | null =>
  runtime === undefined || runtimeByName(runtime) !== undefined
    ? null
    : berthError("RUNTIME_UNKNOWN", "params.runtime: there is no such runtime", { path: "params.runtime" })

/** A value with the keys of its objects in order, so that equal requests have equal text. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return Object.fromEntries(entries.map(([key, inner]) => [key, ordered(inner)]))
}

/** SHA-256 of a request as sent, in hex; the order of keys does not matter. */
export const requestHash = (request: SubmitRequest): string =>
  createHash("sha256")
    .update(JSON.stringify(ordered(request)))
    .digest("hex")

export const submit: Method<"task.submit"> = {
  role: "user",
  handle: ({ principal, tasks, clock, connection }, { watch = false, ...request }) =>
    Effect.gen(function* () {
      const error =
        laneError(principal, request.lane) ?? timeError(request, clock.nowMs()) ?? runtimeError(request.runtime)
      if (error !== null) return yield* Effect.fail(error)
      const hash = requestHash(request)
      // Who may use no more than `low` and names no lane gets `low`.
      const capped = request.lane === undefined && laneRank(LANE_DEFAULT) < laneRank(principal.laneMax)
      const { task, duplicate } = yield* tasks.submit(
        principal,
        capped ? { ...request, lane: principal.laneMax } : request,
        hash,
      )
      const answer = { task, duplicate, seq: task.seq }
      if (!watch) return answer
      // The answer is the first event of a new task. The last step, like every subscribing: after it nothing fails.
      const subscribed = connection.subscribe(tasks.watch(principal, task.id, duplicate ? 0 : task.seq))
      return yield* Effect.catch(
        Effect.map(subscribed, (subscription) => ({ ...answer, subscription })),
        (error) => (error.code === "TOO_MANY" ? Effect.succeed(answer) : Effect.fail(error)),
      )
    }),
}
