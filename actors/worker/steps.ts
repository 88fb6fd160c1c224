/**
 * What the steps of an attempt do: each is one effect, run by stepRunner.ts while the machine in attempt.ts is in its state.
 */
import { Effect } from "effect"
import { asBerthError, type BerthError, berthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import type { Exit, Placement, StopMode } from "../../core/ports/executor.ts"
import type { AttemptResult } from "../../core/task/result.ts"
import type { LossCause } from "../../core/task/facts.ts"
import type { TaskMessage } from "../../core/task/messages.ts"
import { persist } from "../persist.ts"
import { isOvertaken } from "../turns.ts"
import { type Collected, makeArtifactList } from "./artifacts.ts"
import type { Deps, Held } from "./held.ts"

/** What each step answers. */
interface StepOutputs {
  readonly create: Placement
  /** `stopped` when somebody asked to stop before the place was recorded. */
  readonly record: "current" | "stopped"
  readonly run: Exit
  readonly stop: void
  readonly collect: Collected
  readonly end: void
  readonly fail: void
  readonly remove: void
  readonly detach: void
}
export type StepName = keyof StepOutputs

/** How a step ended, as the machine is told. */
export type StepEnd = {
  [S in StepName]:
    | { readonly type: `${S}.done`; readonly output: StepOutputs[S] }
    | { readonly type: `${S}.failed`; readonly error: unknown }
}[StepName]

type Step<S extends StepName> = Effect.Effect<StepOutputs[S], BerthError>

export interface AttemptSteps {
  readonly collects: boolean
  readonly create: () => Step<"create">
  readonly record: (place: Placement | null) => Step<"record">
  readonly run: (place: Placement | null, adopted: boolean) => Step<"run">
  readonly stop: (place: Placement | null, mode: StopMode | null) => Step<"stop">
  readonly collect: (place: Placement | null) => Step<"collect">
  readonly end: (exit: Exit | null, collected: Collected) => Step<"end">
  readonly fail: (error: BerthError | null) => Step<"fail">
  readonly remove: (place: Placement | null) => Step<"remove">
  readonly detach: (place: Placement | null) => Step<"detach">
  /** From now on this attempt's task is somebody else's (AT7). */
  readonly abandon: () => void
}

const NO_PLACE: Placement = { containerId: null, imageDigest: null, policy: null }

export function makeSteps(deps: Deps, held: Held, onBegan: () => void): AttemptSteps {
  const { executor, job, output } = held
  const hit = deps.failpoints.hit
  let overtaken = false
  const turn = (message: TaskMessage) => persist(deps.turns.turn(job.taskId, message), deps.clock, deps.random)

  const lossOf = (cause: LossCause, message: string): Extract<TaskMessage, { type: "lose" }> => ({
    type: "lose",
    epoch: held.epoch,
    cause,
    message,
    overlapPossible: false,
    nowMs: deps.clock.nowMs(),
    jitter01: deps.random.next01(),
  })

  const create = Effect.fnUntraced(function* () {
    const place = yield* executor.create(job, output.progress)
    held.place = place
    yield* hit("create.afterContainer")
    return place
  })

  const record = Effect.fnUntraced(function* (place: Placement) {
    if (place.containerId === null) return "current" as const
    const { containerId, imageDigest, policy } = place
    const message: TaskMessage = {
      type: "place",
      epoch: held.epoch,
      containerId,
      imageDigest,
      policy,
      nowMs: deps.clock.nowMs(),
    }
    const { state } = yield* turn(message)
    yield* hit("place.afterAppend")
    return state.stop === null ? ("current" as const) : ("stopped" as const)
  })

  const run = Effect.fnUntraced(function* (place: Placement, adopted: boolean) {
    const sink = {
      began: Effect.sync(onBegan).pipe(Effect.andThen(hit("run.afterBegin"))),
      write: output.write,
      lost: output.lost,
      progress: output.progress,
    }
    yield* deps.fenceOpen
    const ran = adopted ? executor.adopt(job, place, sink, held.offsets) : executor.run(job, place, sink)
    const exit = yield* Effect.raceFirst(ran, endedByAnother(deps, held))
    yield* hit("run.afterExit")
    return exit
  })

  const collect = Effect.fnUntraced(function* (place: Placement) {
    yield* turn({ type: "phase", epoch: held.epoch, phase: "collecting", nowMs: deps.clock.nowMs() })
    // What stands still gives nothing: it is asked when it goes on, and again if it was held meanwhile.
    const once = Effect.andThen(
      deps.fenceOpen,
      Effect.suspend(() => {
        const list = makeArtifactList(deps, job)
        return Effect.map(executor.collect(job, place, list.keep), list.whole)
      }),
    )
    const collected = yield* Effect.catch(once, (error) => (deps.isFenceOpen() ? Effect.fail(error) : once))
    yield* hit("collect.afterArtifacts")
    return collected
  })

  const end = Effect.fnUntraced(function* (exit: Exit, collected: Collected) {
    const totals = yield* persist(output.finish, deps.clock, deps.random)
    const nowMs = deps.clock.nowMs()
    const result = resultOf(held, exit, collected, totals, nowMs)
    yield* hit("end.beforeAppend")
    const written = (result: AttemptResult) =>
      Effect.as(turn({ type: "exit", epoch: held.epoch, result, nowMs, jitter01: deps.random.next01() }), result)
    // An end that no log takes would have the program run again for ever.
    const ended = yield* Effect.catch(written(result), (error) =>
      error.code === "TOO_LARGE" ? written(withoutContent(result, error)) : Effect.fail(error),
    )
    deps.metrics.ended(ended)
    yield* hit("end.afterAppend")
  })

  /** A backend that failed uses up nobody's attempt; what no attempt can change ends the task. */
  const fail = Effect.fnUntraced(function* (error: BerthError) {
    if (isOvertaken(error)) return yield* Effect.fail(error)
    if (!error.retryable) {
      return yield* end({ ...REFUSED, message: error.message }, { artifacts: [], missing: null })
    }
    yield* persist(output.finish, deps.clock, deps.random)
    // Whether what runs in a place can be removed is seen only later, and by nobody who starts it on another engine.
    const left = held.place !== null && held.place.containerId !== null
    yield* turn({ ...lossOf("infrastructure", error.message), left })
    deps.metrics.lost("infrastructure")
  })

  /** Somebody who adopted our place owns it now, and must not wait for what we still hold of it; all else of ours goes away (AT4). */
  const remove = Effect.fnUntraced(function* (place: Placement) {
    yield* hit("remove.beforeContainer")
    if (overtaken && (yield* isAdoptedByAnother(deps, held, place)))
      return yield* Effect.ignore(executor.detach(job, place))
    yield* executor.remove(job, place)
  })

  /** A successor goes on with a place that it can find; what has none starts again at once, and no death is counted. */
  const detach = Effect.fnUntraced(function* (place: Placement) {
    yield* persist(output.flush, deps.clock, deps.random)
    if (place.containerId !== null) return yield* executor.detach(job, place)
    yield* executor.remove(job, place).pipe(Effect.ignore)
    yield* turn(lossOf("detached", "its worker was stopped"))
  })

  const ignoreOvertaken = (effect: Effect.Effect<void, BerthError>): Effect.Effect<void, BerthError> =>
    Effect.catch(effect, (error) => {
      if (!isOvertaken(error)) return Effect.fail(error)
      overtaken = true
      return Effect.void
    })

  return {
    collects: job.spec.artifacts,
    create,
    record: (place) => record(place ?? NO_PLACE),
    run: (place, adopted) => run(place ?? NO_PLACE, adopted),
    stop: (place, mode) => persist(executor.stop(job, place ?? NO_PLACE, mode ?? "kill"), deps.clock, deps.random),
    collect: (place) => collect(place ?? NO_PLACE),
    end: (exit, collected) => ignoreOvertaken(end(exit ?? REFUSED, collected)),
    fail: (error) => ignoreOvertaken(fail(asBerthError(error))),
    remove: (place) => persist(remove(place ?? NO_PLACE), deps.clock, deps.random).pipe(Effect.ignore),
    detach: (place) => ignoreOvertaken(detach(place ?? NO_PLACE)),
    abandon: () => {
      overtaken = true
    },
  }
}

const REFUSED: Exit = {
  status: "failed",
  reason: "refused",
  message: null,
  exitCode: null,
  signal: null,
  wallMs: null,
  cpuMs: null,
  memoryPeakBytes: null,
  value: null,
}

/**
 * Fails when the attempt has ended in the log. What takes too long may have been ended by the leader, and nothing else makes an
 * attempt look of which nothing returns (AT4).
 */
const endedByAnother = (deps: Deps, { epoch, job, overdueMs }: Held): Effect.Effect<never, BerthError> =>
  Effect.gen(function* () {
    yield* deps.clock.sleep(job.spec.timeoutMs + job.spec.graceMs)
    for (;;) {
      yield* deps.clock.sleep(overdueMs)
      const { state } = yield* persist(deps.turns.load(job.taskId), deps.clock, deps.random)
      if (state.holder?.epoch !== epoch)
        return yield* Effect.fail(berthError("WRONG_STATE", `epoch ${epoch} of task ${job.taskId} has ended`))
    }
  })

/** True when the log says that our place now belongs to a later epoch. What cannot be known is left to the sweep. */
const isAdoptedByAnother = (deps: Deps, held: Held, place: Placement): Effect.Effect<boolean, BerthError> =>
  deps.turns.load(held.job.taskId).pipe(
    Effect.map(
      ({ state }) =>
        place.containerId !== null &&
        state.holder?.containerId === place.containerId &&
        state.holder.epoch !== held.epoch,
    ),
    Effect.catch((error) => (error.code === "NOT_FOUND" ? Effect.succeed(false) : Effect.fail(error))),
  )

function resultOf(
  held: Held,
  exit: Exit,
  collected: Collected,
  totals: Pick<AttemptResult, "stdout" | "stderr">,
  nowMs: number,
): AttemptResult {
  return {
    ...exit,
    message: exit.message?.slice(0, LIMITS.messageBytesMax) ?? null,
    attempt: held.job.attempt,
    epoch: held.epoch,
    startedAtMs: held.startedAtMs,
    endedAtMs: nowMs,
    ...totals,
    artifacts: collected.artifacts,
    artifactsMissing: collected.missing,
    imageDigest: held.place?.imageDigest ?? null,
    policy: held.place?.policy ?? null,
    overlapPossible: held.overlapPossible,
  }
}

/** How the attempt ended, without what it brought. */
const withoutContent = (result: AttemptResult, { message }: BerthError): AttemptResult => ({
  ...result,
  message: `what it brought could not be kept: ${message}`.slice(0, LIMITS.messageBytesMax),
  artifacts: [],
  artifactsMissing: result.artifacts.length === 0 ? result.artifactsMissing : message,
  value: null,
})
