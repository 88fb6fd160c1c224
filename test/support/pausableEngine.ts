/**
 * A container engine on virtual time whose programs can be held: it knows at every moment which of them really run, and
 * remembers whenever two of one task did.
 */
import { Effect } from "effect"
import { berthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Exit, ExecutorShape, Job, Placement } from "../../core/ports/executor.ts"
import type { OutputStream } from "../../core/words.ts"
import { exitOf } from "./fakeExecutor.ts"

interface Container {
  readonly id: string
  readonly engineId: string
  readonly job: Job
  state: "created" | "running" | "paused" | "exited"
  leftMs: number
  exit: Exit | null
  readonly changed: Set<() => void>
}

const SLICE_MS = 100
const gone = () => berthError("BACKEND_UNAVAILABLE", "the container is gone")

export interface PausableEngine {
  /** The executor of one worker on one engine. While it hangs, nothing that it is asked returns. */
  readonly executorOf: (engineId: string, hangs?: () => boolean) => ExecutorShape
  readonly containers: Map<string, Container>
  /** Tasks of which two programs ran at one moment, with the names of their containers. */
  readonly overlaps: string[]
  /** What happened, in order. */
  readonly events: string[]
  /** From where the output of each container was asked for by who adopted it last. */
  readonly adoptedAt: ReadonlyMap<string, Readonly<Record<OutputStream, number>>>
}

/** @param runMs - how long each program runs while it is not held */
export function pausableEngine(clock: Clock["Service"], runMs: number): PausableEngine {
  const containers = new Map<string, Container>()
  const overlaps: string[] = []
  const events: string[] = []
  const adoptedAt = new Map<string, Readonly<Record<OutputStream, number>>>()

  const tell = (container: Container): void => {
    for (const look of [...container.changed]) look()
  }
  const note = (what: string, container: Container): void => void events.push(`${what} ${container.id}`)
  const runs = (container: Container, what: string): void => {
    const others = [...containers.values()].filter(
      (other) => other !== container && other.job.taskId === container.job.taskId && other.state === "running",
    )
    for (const other of others) overlaps.push(`${container.id} beside ${other.id}`)
    container.state = "running"
    note(what, container)
  }
  const tick = (container: Container): void => {
    if (containers.get(container.id) !== container || container.state === "exited") return
    if (container.state === "running") container.leftMs -= SLICE_MS
    if (container.leftMs > 0) return void clock.after(SLICE_MS, () => tick(container))
    container.state = "exited"
    container.exit = exitOf({})
    note("exit", container)
    tell(container)
  }
  const change = (container: Container): Effect.Effect<void> =>
    Effect.callback<void>((resume) => {
      const look = (): void => {
        container.changed.delete(look)
        resume(Effect.void)
      }
      container.changed.add(look)
      return Effect.sync(() => void container.changed.delete(look))
    })

  const executorOf = (engineId: string, hangs: () => boolean = () => false): ExecutorShape => {
    const idOf = ({ epoch, taskId }: Pick<Job, "taskId" | "epoch">): string => `${engineId}/${taskId}-${epoch}`
    const find = (place: Placement): Container | undefined => containers.get(place.containerId ?? "")
    const asked = <A>(body: () => A): Effect.Effect<A> =>
      Effect.suspend(() => (hangs() ? Effect.never : Effect.sync(body)))
    const followed = (place: Placement) =>
      Effect.gen(function* () {
        for (;;) {
          const container = find(place)
          if (container === undefined) return yield* Effect.fail(gone())
          if (container.exit !== null) return container.exit
          yield* change(container)
        }
      })
    return {
      name: "docker",
      kinds: ["image"],
      engineId: Effect.succeed(engineId),
      isolations: Effect.succeed(["runc"]),
      accepting: () => true,
      create: (job) =>
        asked((): Placement => {
          const id = idOf(job)
          const fresh: Container = {
            id,
            engineId,
            job,
            state: "created",
            leftMs: runMs,
            exit: null,
            changed: new Set(),
          }
          containers.set(id, fresh)
          return { containerId: id, imageDigest: null, policy: null }
        }),
      run: (_job, place, sink) =>
        Effect.gen(function* () {
          const container = yield* asked(() => find(place))
          if (container === undefined) return yield* Effect.fail(gone())
          if (container.state === "created") {
            runs(container, "start")
            tick(container)
          }
          yield* sink.began
          return yield* followed(place)
        }),
      adopt: (_job, place, sink, offsets) =>
        Effect.gen(function* () {
          const container = yield* asked(() => find(place))
          adoptedAt.set(place.containerId ?? "", offsets)
          if (container?.state === "paused") runs(container, "unpause")
          yield* sink.began
          return yield* followed(place)
        }),
      stop: (_job, place) =>
        asked(() => {
          const container = find(place)
          if (container === undefined) return
          container.state = "exited"
          container.exit = exitOf({ status: "cancelled", reason: "killed" })
          tell(container)
        }),
      collect: () => Effect.succeed({ artifacts: [], missing: null }),
      remove: (job, place) =>
        asked(() => {
          const container = containers.get(place.containerId ?? idOf(job))
          if (container === undefined) return
          containers.delete(container.id)
          note("remove", container)
          tell(container)
        }),
      pause: (place) =>
        asked(() => {
          const container = find(place)
          if (container?.state === "created") return false
          if (container?.state === "running") {
            container.state = "paused"
            note("pause", container)
          }
          return true
        }),
      unpause: (place) =>
        asked(() => {
          const container = find(place)
          if (container?.state === "paused") runs(container, "unpause")
        }),
      detach: () => asked(() => undefined),
      places: (workers) =>
        asked(() =>
          [...containers.values()]
            .filter((one) => one.engineId === engineId && (workers === null || workers.includes(one.job.worker)))
            .map(({ id, job, state }) => ({
              containerId: id,
              worker: job.worker,
              taskId: job.taskId,
              running: state === "running" || state === "paused",
            })),
        ),
    }
  }
  return { executorOf, containers, overlaps, events, adoptedAt }
}
