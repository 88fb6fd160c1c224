import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Placement } from "../../core/ports/executor.ts"
import { liveOutputSubject } from "../../core/ports/signals.ts"
import type { TaskState } from "../../core/task/state.ts"
import { makeOutput } from "../output.ts"
import { persist } from "../persist.ts"
import type { Entry } from "./hands.ts"
import type { Held } from "./held.ts"
import { makeSteps } from "./steps.ts"
import type { Supervisor } from "./supervisor.ts"
import type { WorkerOptions } from "./options.ts"

/** Makes a live attempt of a task whose last record names this worker, and hands it to the supervisor. */
export type Spawn = (
  state: TaskState,
  entry: Entry,
  adopted: Placement | null,
  offsets: Held["offsets"],
) => Effect.Effect<void, BerthError>

/** @param closing - what a worker that goes wants of all its attempts; null: it stays */
export const makeSpawn = (
  options: WorkerOptions,
  supervisor: Supervisor,
  closing: () => "detach" | "abandon" | null,
): Spawn => {
  const { deps, executors } = options
  return Effect.fnUntraced(function* (state, entry, adopted, offsets) {
    const { attempt, holder, id: taskId, owner, spec } = state
    const executor = executors.forKind(spec.kind)
    if (holder === null || executor === null)
      return yield* Effect.die(new Error(`task ${taskId} cannot be spawned here`))
    const program = yield* persist(options.programs.load(taskId), deps.clock, deps.random)
    const epoch = holder.runEpoch
    const job = { taskId, owner, attempt, epoch, worker: options.name, spec, program, slot: entry.slot }
    const output = yield* makeOutput({
      log: deps.log,
      clock: deps.clock,
      flushMs: options.outputFlushMs,
      sendLive: (record) => options.signals.publish(liveOutputSubject(taskId), record).pipe(Effect.ignore),
      taskId,
      owner,
      attempt,
      epoch: holder.epoch,
      offsets,
      onAppended: deps.failpoints.hit("output.afterAppend"),
    })
    const held: Held = {
      job,
      executor,
      output,
      epoch: holder.epoch,
      startedAtMs: holder.startedAtMs,
      overlapPossible: state.overlapPossible,
      overdueMs: options.overdueMs,
      offsets,
      place: adopted,
    }
    const steps = makeSteps(deps, held, () => supervisor.send(taskId, { type: "began" }))
    const stop = entry.stop ?? state.stop?.mode ?? null
    entry.held = held
    supervisor.spawn(taskId, { steps, timeoutMs: spec.timeoutMs, adopted, stop }, closing())
  })
}
