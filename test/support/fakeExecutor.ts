/**
 * An executor whose every step waits for the test, when the test says so: the whole life of a program, and nothing runs.
 *
 *   FE1. A step that is held goes on when it is let go, with the answer or the failure that the test gave.
 *   FE2. What a real executor promises is kept: `stop` makes `run` return, `remove` leaves nothing behind (EX3, EX6).
 */
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type {
  AttemptSink,
  Exit,
  ExecutorShape,
  FoundPlace,
  Job,
  Placement,
  StopMode,
} from "../../core/ports/executor.ts"
import type { Artifact } from "../../core/task/result.ts"
import { until } from "./until.ts"

export const FAKE_STEPS = ["create", "run", "adopt", "stop", "collect", "remove", "detach"] as const
export type FakeStep = (typeof FAKE_STEPS)[number]

export const exitOf = (more: Partial<Exit> = {}): Exit => ({
  status: "completed",
  reason: "exit_zero",
  message: null,
  exitCode: 0,
  signal: null,
  wallMs: 5,
  cpuMs: 1,
  memoryPeakBytes: null,
  value: null,
  ...more,
})
const STOPPED: Record<StopMode, Partial<Exit>> = {
  cancel: { status: "cancelled", reason: "cancelled", exitCode: 143 },
  kill: { status: "cancelled", reason: "killed", exitCode: 137 },
  deadline: { status: "timeout", reason: "deadline", exitCode: 143 },
}

export interface FakeRun {
  readonly job: Job
  readonly sink: AttemptSink
  readonly adopted: boolean
  readonly offsets: Readonly<Record<"stdout" | "stderr", number>>
  readonly print: (text: string) => Promise<void>
  readonly exit: (more?: Partial<Exit>) => void
  readonly fail: (error: BerthError) => void
}

export interface FakeExecutor extends ExecutorShape {
  /** What was called, in order: `create t1`. */
  readonly calls: readonly string[]
  /** Steps that wait until they are let go. */
  readonly hold: (...steps: readonly FakeStep[]) => void
  readonly letGo: (...steps: readonly FakeStep[]) => void
  /** The next calls of a step fail like this; null: none does any more. */
  readonly failWith: (step: FakeStep, error: BerthError | null) => void
  /** The next calls of a step crash, as a defect would. */
  readonly crash: (step: FakeStep) => void
  readonly setAccepting: (accepting: boolean) => void
  /** The run of a task, once it has begun. */
  readonly run1: (taskId: string) => Promise<FakeRun>
  readonly untilCalled: (call: string) => Promise<void>
  /** Containers that exist, by id. */
  readonly containers: Map<string, FoundPlace>
  /** Largest number of programs that ran at once. */
  readonly widest: () => number
  readonly artifacts: Map<string, Uint8Array>
}

/** @param keepsPlaces - false: like a handler, whose place has no container */
export function fakeExecutor(
  options: {
    readonly kinds?: ExecutorShape["kinds"]
    readonly keepsPlaces?: boolean
    readonly autoExit?: boolean
  } = {},
): FakeExecutor {
  const { autoExit = false, keepsPlaces = true, kinds = ["image", "runtime"] } = options
  const calls: string[] = []
  const held = new Map<FakeStep, Set<() => void>>()
  const failures = new Map<FakeStep, BerthError>()
  const crashes = new Set<FakeStep>()
  const runs = new Map<string, FakeRun>()
  const containers = new Map<string, FoundPlace>()
  const artifacts = new Map<string, Uint8Array>()
  let accepting = true
  let running = 0
  let widest = 0

  const step = (name: FakeStep, taskId: string): Effect.Effect<void, BerthError> =>
    Effect.suspend(() => {
      calls.push(`${name} ${taskId}`)
      const waits = held.get(name)
      const wait =
        waits === undefined
          ? Effect.void
          : Effect.callback<void>((resume) => {
              const go = (): void => resume(Effect.void)
              waits.add(go)
              return Effect.sync(() => waits.delete(go))
            })
      return Effect.andThen(
        wait,
        Effect.suspend((): Effect.Effect<void, BerthError> => {
          if (crashes.has(name)) return Effect.die(new Error(`${name} has a defect`))
          const failure = failures.get(name)
          return failure === undefined ? Effect.void : Effect.fail(failure)
        }),
      )
    })
  const keyOf = ({ epoch, taskId }: Pick<Job, "taskId" | "epoch">): string => `c-${taskId}-${epoch}`

  const execute = (job: Job, sink: AttemptSink, adopted: boolean, offsets: FakeRun["offsets"]) =>
    Effect.callback<Exit, BerthError>((resume) => {
      running += 1
      widest = Math.max(widest, running)
      let at = offsets.stdout
      const end = (outcome: Effect.Effect<Exit, BerthError>): void => {
        if (runs.get(job.taskId) !== run) return
        runs.delete(job.taskId)
        running -= 1
        resume(outcome)
      }
      const run: FakeRun = {
        job,
        sink,
        adopted,
        offsets,
        print: (text) => {
          const bytes = new TextEncoder().encode(text)
          const offset = at
          at += bytes.length
          return Effect.runPromise(sink.write("stdout", offset, bytes))
        },
        exit: (more) => end(Effect.succeed(exitOf(more))),
        fail: (error) => end(Effect.fail(error)),
      }
      runs.set(job.taskId, run)
      if (autoExit) run.exit()
      return Effect.sync(() => {
        if (runs.get(job.taskId) === run) runs.delete(job.taskId)
        running -= 1
      })
    })

  return {
    name: "docker",
    kinds,
    engineId: Effect.succeed("engine-1"),
    isolations: Effect.succeed(["runc"]),
    accepting: () => accepting,
    create: (job) =>
      Effect.map(step("create", job.taskId), (): Placement => {
        if (!keepsPlaces) return { containerId: null, imageDigest: null, policy: null }
        const containerId = keyOf(job)
        containers.set(containerId, { containerId, worker: job.worker, taskId: job.taskId, running: false })
        return { containerId, imageDigest: "sha256:1", policy: { network: "none" } }
      }),
    run: (job, _place, sink) =>
      step("run", job.taskId).pipe(
        Effect.andThen(sink.began),
        Effect.andThen(execute(job, sink, false, { stdout: 0, stderr: 0 })),
      ),
    adopt: (job, place, sink, offsets) =>
      step("adopt", job.taskId).pipe(
        Effect.andThen(
          Effect.suspend(() =>
            containers.has(place.containerId ?? "")
              ? execute(job, sink, true, offsets)
              : Effect.fail(berthError("BACKEND_UNAVAILABLE", "the place is gone")),
          ),
        ),
      ),
    stop: (job, _place, mode) =>
      Effect.map(step("stop", job.taskId), () => {
        calls.push(`${mode} ${job.taskId}`)
        runs.get(job.taskId)?.exit(STOPPED[mode])
      }),
    collect: (job, _place, keep) =>
      Effect.gen(function* () {
        yield* step("collect", job.taskId)
        const kept: Artifact[] = []
        for (const [path, bytes] of artifacts) kept.push(yield* keep(path, bytes))
        return { artifacts: kept, missing: null }
      }),
    remove: (job, place) =>
      Effect.map(step("remove", job.taskId), () => {
        runs.get(job.taskId)?.fail(berthError("BACKEND_UNAVAILABLE", "removed"))
        containers.delete(place.containerId ?? keyOf(job))
      }),
    pause: () => Effect.succeed(true),
    unpause: () => Effect.void,
    detach: (job) => step("detach", job.taskId),
    places: (workers) =>
      Effect.sync(() => [...containers.values()].filter(({ worker }) => workers === null || workers.includes(worker))),
    calls,
    hold: (...steps) => {
      for (const name of steps) held.set(name, held.get(name) ?? new Set())
    },
    letGo: (...steps) => {
      for (const name of steps) {
        const waits = held.get(name) ?? new Set()
        held.delete(name)
        for (const go of waits) go()
      }
    },
    failWith: (name, error) => void (error === null ? failures.delete(name) : failures.set(name, error)),
    crash: (name) => void crashes.add(name),
    setAccepting: (value) => {
      accepting = value
    },
    run1: async (taskId) => {
      await until(() => runs.has(taskId), `the run of ${taskId}`)
      return runs.get(taskId) as FakeRun
    },
    untilCalled: (call) => until(() => calls.includes(call), `"${call}" among ${calls.join(", ")}`),
    containers,
    widest: () => widest,
    artifacts,
  }
}
