/**
 * Runs programs of the catalogue's runtimes as plain child processes of this host. It isolates nothing: a program has all
 * rights of the server. For machines without an engine, and only when chosen by name.
 *
 *   - EX1, EX6: a place is one directory, named after task and epoch; it is all that there is to remove.
 *   - EX2, EX4: programs write to files that are read while they grow, so a successor continues at any offset, exactly.
 *     Only where more than 32 MiB were read before the crash may it have to tell a gap.
 *   - EX7: `pause` is SIGSTOP for the program's process group.
 *   - EX9: a small shell, the keeper, enforces the time limit and writes the exit status down, whoever else is gone.
 *   - A process that leaves its group (setsid) is out of reach. Memory and CPU limits are not enforced.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { Clock } from "../../../core/ports/clock.ts"
import type { ExecutorShape, FoundPlace, Job, Placement } from "../../../core/ports/executor.ts"
import { collectFiles } from "./artifacts.ts"
import { listBoxes, makeBox, pathsOf, placeName, readControl, removeBox } from "./box.ts"
import { parseIdentity } from "./keeper.ts"
import { RunningProgram } from "./running.ts"
import { isAlive } from "./signals.ts"

export interface ProcessExecutorOptions {
  /** Where places are made: absolute, of letters, digits and `/ . _ + -` only, because compilers get it through a shell. */
  readonly root: string
  /** Where interpreters are found, and all that programs see of this process's environment. */
  readonly path: string
  /** Identity of this host: who has the same one can adopt. */
  readonly hostId: string
  readonly cluster: string
  readonly clock: Clock["Service"]
  /** Values of the secrets that a program names; read when the attempt begins. */
  readonly secrets: (job: Job) => Effect.Effect<Readonly<Record<string, string>>, BerthError>
}

const ROOT = /^\/[A-Za-z0-9/._+-]+$/

/** @throws BerthError CONFIG_INVALID for a root that cannot be used */
export const processExecutor = (options: ProcessExecutorOptions): ExecutorShape => {
  if (!ROOT.test(options.root))
    throw berthError("CONFIG_INVALID", `programs cannot run in "${options.root}": use a plain absolute path`)
  const { root, cluster, clock } = options
  const programs = new Map<string, RunningProgram>()

  const nameOf = (job: Pick<Job, "taskId" | "epoch">, place: Placement): string => place.containerId ?? placeName(job)
  const programOf = (name: string): RunningProgram => {
    const known = programs.get(name)
    if (known !== undefined) return known
    const fresh = new RunningProgram(pathsOf(root, name), clock)
    programs.set(name, fresh)
    return fresh
  }
  /** Names come from the log; a strange one is a defect there, and a typed error here. */
  const withPlace = <A>(
    name: string,
    use: (program: RunningProgram) => Effect.Effect<A, BerthError>,
  ): Effect.Effect<A, BerthError> =>
    Effect.flatMap(Effect.try({ try: () => programOf(name), catch: (cause) => cause as BerthError }), use)
  const hold = (place: Placement, isPaused: boolean): Effect.Effect<boolean, BerthError> =>
    place.containerId === null
      ? Effect.succeed(false)
      : withPlace(place.containerId, (program) =>
          Effect.map(program.load(), (keeper) => {
            program.pause(isPaused)
            return keeper !== null
          }),
        )

  const create = (job: Job): Effect.Effect<Placement, BerthError> => {
    if (job.spec.isolation !== undefined)
      return Effect.fail(berthError("ISOLATION_UNAVAILABLE", "programs run here as plain processes, without isolation"))
    const name = placeName(job)
    const note = { cluster, worker: job.worker, taskId: job.taskId, epoch: job.epoch }
    return makeBox(pathsOf(root, name), note).pipe(
      Effect.as({ containerId: name, imageDigest: null, policy: { executor: "process", isolation: "none" } }),
    )
  }

  const remove: ExecutorShape["remove"] = (job, place) => {
    const name = nameOf(job, place)
    return withPlace(name, (program) => program.end()).pipe(
      Effect.andThen(Effect.suspend(() => removeBox(pathsOf(root, name)))),
      Effect.andThen(Effect.sync(() => void programs.delete(name))),
    )
  }

  const isRunning = (name: string): Promise<boolean> =>
    readControl(pathsOf(root, name), "keeper").then((text) => {
      const keeper = parseIdentity(text)
      return keeper === null ? false : isAlive(keeper)
    })

  const places = (workers: readonly string[] | null): Effect.Effect<readonly FoundPlace[], BerthError> =>
    Effect.flatMap(listBoxes(root), (boxes) =>
      Effect.promise(() =>
        Promise.all(
          boxes
            .filter((box) => box.cluster === cluster && (workers === null || workers.includes(box.worker)))
            .map(async ({ name, taskId, worker }) => ({
              containerId: name,
              worker,
              taskId,
              running: await isRunning(name),
            })),
        ),
      ),
    )

  return {
    name: "process",
    kinds: ["runtime"],
    // Another server of this host has other places: it can neither adopt nor remove what runs in these.
    engineId: Effect.succeed(`process:${options.hostId}:${root}`),
    isolations: Effect.succeed([]),
    accepting: () => true,
    create,
    run: (job, place, sink) =>
      Effect.flatMap(options.secrets(job), (secrets) =>
        withPlace(nameOf(job, place), (program) => program.run(job, sink, { path: options.path, secrets })),
      ),
    adopt: (job, place, sink, offsets) => withPlace(nameOf(job, place), (program) => program.adopt(sink, offsets)),
    stop: (job, place, mode) =>
      withPlace(nameOf(job, place), (program) => Effect.sync(() => program.stop(mode, job.spec.graceMs))),
    collect: (job, place, keep) =>
      Effect.suspend(() => collectFiles(join(pathsOf(root, nameOf(job, place)).box, "out"), keep)),
    remove,
    pause: (place) => hold(place, true),
    unpause: (place) => Effect.asVoid(hold(place, false)),
    detach: (job, place) => withPlace(nameOf(job, place), (program) => Effect.sync(() => program.detach())),
    places,
  }
}
