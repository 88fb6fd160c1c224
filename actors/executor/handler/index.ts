/**
 * Runs functions of the embedding program. The lightest executor: no process, no container, no engine call.
 *
 *   - EX1: `create` only registers; a place has no id, because nothing of a handler outlives this process.
 *   - EX7: a function cannot be held. `pause` aborts it, and the attempt is infrastructure's loss.
 *   - EX8: `detach` aborts as well: no successor can adopt, so the function is told to stop.
 *   - EX9: where this process is gone, so is the handler.
 *
 * The time limit comes as `stop(…, "deadline")` from the attempt. See running.ts for what a stop means here.
 */
import { Effect } from "effect"
import { berthError } from "../../../core/errors.ts"
import type { Clock } from "../../../core/ports/clock.ts"
import type { ExecutorShape, Job, Placement, StopMode } from "../../../core/ports/executor.ts"
import { type Handlers, handlerNamed } from "./definition.ts"
import { handlerLost, type LateCounts, RunningHandler } from "./running.ts"

export type { Handler, HandlerContext, Handlers } from "./definition.ts"

export interface HandlerExecutorOptions {
  readonly handlers: Handlers
  readonly clock: Clock["Service"]
}

export interface HandlerExecutor extends ExecutorShape {
  /** `givenUp − lateResults` functions are running although their attempts have ended. */
  readonly lateCounts: () => Readonly<LateCounts>
  readonly names: readonly string[]
}

const keyOf = (job: Pick<Job, "taskId" | "epoch">): string => `${job.taskId}/${job.epoch}`

/** The executor of `handler` tasks. `create` fails with HANDLER_UNKNOWN for a name that is not registered. */
export const handlerExecutor = (options: HandlerExecutorOptions): HandlerExecutor => {
  const byKey = new Map<string, RunningHandler>()
  // A place of this executor carries no id, so the object itself is what the fence knows it by.
  const byPlace = new WeakMap<Placement, RunningHandler>()
  const late: LateCounts = { givenUp: 0, lateResults: 0 }

  const create = (job: Job): ReturnType<ExecutorShape["create"]> =>
    Effect.suspend(() => {
      const program = job.program
      if (program.kind !== "handler")
        return Effect.die(new Error(`the handler executor was given a ${program.kind} task`))
      const definition = handlerNamed(options.handlers, program.handler)
      if (definition === null) {
        return Effect.fail(berthError("HANDLER_UNKNOWN", `no handler is registered as "${program.handler}"`))
      }
      const place: Placement = { containerId: null, imageDigest: null, policy: null }
      const running = new RunningHandler(job, program.input, definition, options.clock, late)
      byKey.set(keyOf(job), running)
      byPlace.set(place, running)
      return Effect.succeed(place)
    })

  const run: ExecutorShape["run"] = (job, _place, sink) =>
    Effect.suspend(() => byKey.get(keyOf(job))?.run(sink) ?? Effect.fail(handlerLost("the handler's place is gone")))

  const stop = (job: Job, _place: Placement, mode: StopMode): Effect.Effect<void> =>
    Effect.sync(() => byKey.get(keyOf(job))?.abort(mode, mode === "kill" ? 0 : job.spec.graceMs))

  return {
    name: "handler",
    kinds: ["handler"],
    names: Object.keys(options.handlers),
    engineId: Effect.succeed(null),
    isolations: Effect.succeed([]),
    accepting: () => true,
    lateCounts: () => ({ ...late }),
    create,
    run,
    adopt: () => Effect.fail(handlerLost("nothing of a handler outlives its process")),
    stop,
    collect: () => Effect.succeed({ artifacts: [], missing: null }),
    remove: (job) =>
      Effect.sync(() => {
        const running = byKey.get(keyOf(job))
        byKey.delete(keyOf(job))
        running?.abort("detach", 0)
      }),
    pause: (place) =>
      Effect.sync(() => {
        byPlace.get(place)?.abort("fence", 0)
        return true
      }),
    unpause: () => Effect.void,
    detach: (job) => Effect.sync(() => byKey.get(keyOf(job))?.abort("detach", 0)),
    places: () => Effect.succeed([]),
  }
}
