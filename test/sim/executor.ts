/** The executor of one life: the engine of its host, seen through calls that fail and take their time. */
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { AttemptSink, ExecutorShape, Job, Placement } from "../../core/ports/executor.ts"
import type { Calls, Fault } from "./calls.ts"
import type { Engine, Place } from "./engine.ts"
import type { Life, Schedule } from "./schedule.ts"

const CALL: readonly Fault[] = ["refused", "replyLost", "delayed"]
const gone = (): BerthError => berthError("BACKEND_UNAVAILABLE", "the place is gone")

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
  /** What has no id is known by the object that `create` gave. */
  const handlers = new WeakMap<Placement, string>()
  const placement = (id: string): Placement => {
    if (keepsPlaces) return { containerId: id, imageDigest: "sha256:1", policy: { network: "none" } }
    const place: Placement = { containerId: null, imageDigest: null, policy: null }
    handlers.set(place, id)
    return place
  }
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
    engineId: Effect.succeed(keepsPlaces ? engine.id : null),
    isolations: Effect.succeed(["runc"]),
    accepting: () => true,
    create: (job) =>
      step(`create ${job.taskId}`, () => {
        if (keepsPlaces || !life.isOver) engine.make(idOf(job), job, life)
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
        const take = (): Place => {
          const there = found(job, place)
          there.keeper = { life, worker: job.worker }
          return there
        }
        const there = yield* step(`adopt ${job.taskId}`, take, ["delayed"])
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
    // Pausing is prompt: how late a program may be stopped is what is measured.
    pause: (place) =>
      step(`pause ${place.containerId}`, () => {
        if (keepsPlaces) return engine.pause(engine.places.get(place.containerId ?? ""))
        engine.remove(engine.places.get(handlers.get(place) ?? ""))
        return true
      }, []),
    unpause: (place) =>
      step(`unpause ${place.containerId}`, () => engine.goOn(engine.places.get(place.containerId ?? ""))),
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
