/**
 * A container engine that outlives every worker: places, programs that go on by themselves, and what they have printed.
 *
 *   EN1. A program is started at most once in a place; a place that is gone stays gone.
 *   EN2. What was printed is kept by the place, so that whoever adopts it reads it from any offset.
 *   EN3. A stop that comes before the program is heeded when the program comes (EX3).
 *   EN4. A handler's program lives in its worker and ends with it.
 */
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { AttemptSink, Exit, ExecutorShape, Job, Placement, StopMode } from "../../core/ports/executor.ts"
import { exitOf } from "../support/fakeExecutor.ts"
import type { Calls, Fault } from "./calls.ts"
import type { Life, Schedule } from "./schedule.ts"

export const ENDINGS = ["exits", "fails", "flaky", "outOfMemory", "hangs", "stubborn"] as const
type Ending = (typeof ENDINGS)[number]

interface Place {
  readonly id: string
  readonly worker: string
  readonly job: Job
  state: "made" | "running" | "exited" | "gone"
  printed: Uint8Array
  linesLeft: number
  stop: StopMode | null
  exit: Exit | null
  readonly changed: Set<() => void>
}

const CALL: readonly Fault[] = ["refused", "replyLost", "delayed"]
const LINE_MS_MAX = 400
const STOPPED: Record<StopMode, Partial<Exit>> = {
  cancel: { status: "cancelled", reason: "cancelled", exitCode: 143 },
  kill: { status: "cancelled", reason: "killed", exitCode: 137 },
  deadline: { status: "timeout", reason: "deadline", exitCode: 143 },
}
const FAILED = { status: "failed", reason: "exit_nonzero", exitCode: 1 } as const
const gone = (): BerthError => berthError("BACKEND_UNAVAILABLE", "the place is gone")

/** What a task's program does is in its command, or in its handler's input: an ending and a number of lines. */
const planOf = ({ program }: Job): readonly [Ending, number] => {
  const words =
    program.kind === "handler" ? (program.input as string[]) : program.kind === "image" ? program.command : []
  return [words[0] as Ending, Number(words[1])]
}

/** Line `line` of a run. */
const lineOf = ({ epoch, taskId }: Job, line: number): Uint8Array =>
  new TextEncoder().encode(`${taskId} ${epoch} ${line}\n`)

export class Engine {
  readonly places = new Map<string, Place>()
  /** Everything that a run has printed, by task and the epoch at which it was started; kept after the place is gone. */
  readonly printed = new Map<string, Uint8Array>()
  readonly starts = new Map<string, number>()
  readonly #schedule: Schedule

  constructor(schedule: Schedule) {
    this.#schedule = schedule
  }

  make(id: string, job: Job): void {
    if (this.places.has(id)) return
    const place: Place = {
      id,
      worker: job.worker,
      job,
      state: "made",
      printed: new Uint8Array(0),
      linesLeft: planOf(job)[1],
      stop: null,
      exit: null,
      changed: new Set(),
    }
    this.places.set(id, place)
  }

  start(place: Place): void {
    if (place.state !== "made") return
    const { job, stop } = place
    place.state = "running"
    this.starts.set(place.id, (this.starts.get(place.id) ?? 0) + 1)
    if (stop !== null) return this.#end(place, STOPPED[stop])
    this.#goOn(place)
    // Its own limit, for when nobody is there to stop it (EX9).
    this.#schedule.after(null, job.spec.timeoutMs + job.spec.graceMs, () => this.#end(place, STOPPED.deadline))
  }

  stop(place: Place, mode: StopMode): void {
    place.stop ??= mode
    if (place.state !== "running") return
    const isStubborn = planOf(place.job)[0] === "stubborn" && mode !== "kill"
    if (!isStubborn) return this.#end(place, STOPPED[mode])
    this.#schedule.after(null, place.job.spec.graceMs, () => this.#end(place, STOPPED[mode]))
  }

  remove(place: Place | undefined): void {
    if (place === undefined) return
    place.state = "gone"
    this.places.delete(place.id)
    this.#tell(place)
  }

  #end(place: Place, more: Partial<Exit>): void {
    if (place.state !== "running") return
    place.state = "exited"
    place.exit = exitOf(more)
    this.#tell(place)
  }

  #goOn(place: Place): void {
    const readyAtMs = this.#schedule.nowMs + this.#schedule.whole(0, LINE_MS_MAX)
    const label = `program ${place.job.taskId}`
    this.#schedule.add({ label, life: null, readyAtMs, happen: () => this.#doNext(place) })
  }

  #doNext(place: Place): void {
    if (place.state !== "running") return
    const { job } = place
    if (place.linesLeft > 0) {
      const line = lineOf(job, place.linesLeft)
      place.linesLeft -= 1
      place.printed = Buffer.concat([place.printed, line])
      this.printed.set(`${job.taskId}/${job.epoch}`, place.printed)
      this.#tell(place)
      return this.#goOn(place)
    }
    const [ending] = planOf(job)
    if (ending === "exits") this.#end(place, {})
    else if (ending === "fails" || (ending === "flaky" && job.attempt === 1)) this.#end(place, FAILED)
    else if (ending === "flaky") this.#end(place, {})
    else if (ending === "outOfMemory") this.#end(place, { status: "failed", reason: "out_of_memory", exitCode: 137 })
  }

  #tell(place: Place): void {
    for (const look of [...place.changed]) look()
  }
}

const changeOf = (place: Place, life: Life): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const look = (): void => {
      place.changed.delete(look)
      if (!life.isOver) resume(Effect.void)
    }
    place.changed.add(look)
    return Effect.sync(() => place.changed.delete(look))
  })

/** Reads a place from an offset until its program has ended. */
const follow = ({ call, life }: Calls, schedule: Schedule, place: Place, sink: AttemptSink, offset: number) =>
  Effect.gen(function* () {
    for (let at = offset; ; ) {
      if (place.state === "gone") return yield* Effect.fail(gone())
      if (place.printed.length > at) {
        const upTo = schedule.whole(at + 1, place.printed.length)
        const bytes = place.printed.slice(at, upTo)
        yield* call(`read ${place.job.taskId}`, Effect.void, ["delayed"])
        yield* sink.write("stdout", at, bytes)
        at = upTo
      } else if (place.exit !== null) return place.exit
      else yield* changeOf(place, life)
    }
  })

/** The executor of one life. @param kind - containers stay when the life ends; handlers end with it */
export function executorOf(
  schedule: Schedule,
  calls: Calls,
  engine: Engine,
  kind: "docker" | "handler",
): ExecutorShape {
  const { call, life } = calls
  const keepsPlaces = kind === "docker"
  const idOf = ({ epoch, taskId }: Pick<Job, "taskId" | "epoch">): string =>
    keepsPlaces ? `c-${taskId}-${epoch}` : `h-${taskId}-${epoch}`
  const find = (job: Pick<Job, "taskId" | "epoch">, { containerId }: Placement): Place | undefined =>
    engine.places.get(containerId ?? idOf(job))
  const placement = (id: string): Placement =>
    keepsPlaces ? { containerId: id, imageDigest: "sha256:1", policy: { network: "none" } } : NO_PLACE
  const step = <A>(label: string, body: () => A, faults: readonly Fault[] = CALL): Effect.Effect<A, BerthError> =>
    call(`${kind} ${label}`, Effect.try({ try: body, catch: (error) => error as BerthError }), faults)
  const found = (job: Job, place: Placement): Place => {
    const there = find(job, place)
    if (there === undefined || (life.isOver && !keepsPlaces)) throw gone()
    return there
  }
  return {
    name: kind,
    kinds: keepsPlaces ? ["image", "runtime"] : ["handler"],
    engineId: Effect.succeed(keepsPlaces ? "engine-1" : null),
    isolations: Effect.succeed(["runc"]),
    accepting: () => true,
    create: (job) =>
      step(`create ${job.taskId}`, () => {
        if (keepsPlaces || !life.isOver) engine.make(idOf(job), job)
        return placement(idOf(job))
      }),
    run: (job, place, sink) =>
      Effect.gen(function* () {
        const begin = (): Place => {
          const there = found(job, place)
          engine.start(there)
          return there
        }
        const there = yield* step(`run ${job.taskId}`, begin, ["refused", "delayed"])
        yield* sink.began
        return yield* follow(calls, schedule, there, sink, 0)
      }),
    adopt: (job, place, sink, offsets) =>
      Effect.gen(function* () {
        const there = yield* step(`adopt ${job.taskId}`, () => found(job, place), ["delayed"])
        if (there.state === "made") return yield* Effect.fail(berthError("BACKEND_UNAVAILABLE", "was never fed"))
        yield* sink.began
        return yield* follow(calls, schedule, there, sink, offsets.stdout)
      }),
    stop: (job, place, mode) =>
      step(`stop ${job.taskId} ${mode}`, () => {
        const there = find(job, place)
        if (there !== undefined) engine.stop(there, mode)
      }),
    collect: () => Effect.succeed({ artifacts: [], missing: null }),
    remove: (job, place) => step(`remove ${job.taskId}`, () => engine.remove(find(job, place))),
    pause: () => Effect.succeed(true),
    unpause: () => Effect.void,
    detach: (job) => step(`detach ${job.taskId}`, () => {}, ["delayed"]),
    places: () =>
      step(
        "places",
        () =>
          [...engine.places.values()]
            .filter(({ id }) => keepsPlaces && id.startsWith("c-"))
            .map(({ id, job, state, worker }) => ({
              containerId: id,
              worker,
              taskId: job.taskId,
              running: state === "running",
            })),
        ["refused", "delayed"],
      ),
  }
}

const NO_PLACE: Placement = { containerId: null, imageDigest: null, policy: null }

/** What ends with a life: its handlers. */
export const endHandlersOf = (engine: Engine, life: Life): void => {
  for (const place of [...engine.places.values()])
    if (place.id.startsWith("h-") && place.worker === life.name) engine.remove(place)
}
