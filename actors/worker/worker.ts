/**
 * A worker: pulls wake-ups while it has a free slot and a backend that answers, starts attempts, and holds them until they
 * have ended.
 *
 *   WO1. A wake-up is acked only after `started` is durable, or after the log showed that there is nothing to start (I4).
 *   WO2. At most `slots` attempts are started by pulling; adopted ones come on top and are waited for.
 *   WO3. A wish to stop reaches an attempt in every step, also before it is spawned.
 *   WO4. Draining starts nothing new; detaching leaves running places to a successor; abandoning leaves nothing.
 *   WO5. While the lease is not trusted nothing is pulled or started.
 */
import { Effect, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Placement, StopMode } from "../../core/ports/executor.ts"
import { workerSubject } from "../../core/ports/signals.ts"
import type { TaskState } from "../../core/task/state.ts"
import { RESTART_INTENSITY } from "../../core/policy/supervise.ts"
import type { HeldPlace } from "./fence.ts"
import type { Held } from "./held.ts"
import { handBack, refuse } from "./giveBack.ts"
import { Hands } from "./hands.ts"
import type { WorkerOptions, WorkerSignal } from "./options.ts"
import { makeSpawn, type Spawn } from "./spawn.ts"
import { makeDirect } from "./direct.ts"
import { makeAccept } from "./starting.ts"
import { startSupervisor } from "./supervisor.ts"

const PULL_WAIT_MS = 1_000
/** How long a stopping worker waits for its attempts to let go; a store that is away must not keep it for ever. */
const DETACH_MS_MAX = 10_000
/** Between two looks whether there is something to pull with. */
const IDLE_PAUSE_MS = 100
const REFUSED_PAUSE_MS = 500

export interface Worker {
  readonly name: string
  /** Ids of the tasks in this worker's hands, those that are just being started included. */
  readonly holds: (taskId: string) => boolean
  readonly heldCount: () => number
  /** True for a container that one of this worker's attempts made or adopted and has not yet removed. */
  readonly ownsPlace: (containerId: string) => boolean
  readonly accepting: () => boolean
  /** Begins to pull. Not before everything of a predecessor is settled. */
  readonly begin: Effect.Effect<void>
  /** Takes over a task whose `adopted` record names this worker. */
  readonly adopt: (state: TaskState, place: Placement, offsets: Held["offsets"]) => Effect.Effect<void, BerthError>
  readonly stop: (taskId: string, mode: StopMode) => boolean
  readonly setDraining: (draining: boolean) => void
  readonly isDraining: () => boolean
  /** Resolves when nothing is held any more. */
  readonly idle: Effect.Effect<void>
  /** Lets go of everything that can be adopted, and waits until it is let go. */
  readonly detach: Effect.Effect<void>
  /** Forgets everything and removes its places, because another worker has the right to them now. */
  readonly abandon: Effect.Effect<void>
  /** (task, epoch) of everything in hand. */
  readonly held: () => readonly (readonly [taskId: string, epoch: number])[]
  readonly places: () => readonly HeldPlace[]
}

export const makeWorker = (options: WorkerOptions): Effect.Effect<Worker, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const { deps, executors, queue } = options
    const { clock } = deps
    const hands = new Hands(options.slots)
    let draining = false
    let closing: "detach" | "abandon" | null = null
    const scope = yield* Effect.scope

    const letGo = (taskId: string): void => {
      hands.get(taskId)?.held?.output.close()
      hands.release(taskId)
    }
    const supervisor = startSupervisor({
      clock,
      intensity: RESTART_INTENSITY,
      onDone: letGo,
      onCrash: (taskId, error) => {
        options.onCrash(taskId, error)
        const handedBack = handBack(deps, options.name, taskId, hands.get(taskId)?.held ?? null)
        Effect.runFork(
          Effect.forkIn(
            Effect.ensuring(
              handedBack,
              Effect.sync(() => letGo(taskId)),
            ),
            scope,
          ),
        )
      },
      onEscalate: options.onEscalate,
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        supervisor.stop()
        for (const [, { held }] of hands.all()) held?.output.close()
      }),
    )

    const stop = (taskId: string, mode: StopMode): boolean => {
      const entry = hands.get(taskId)
      if (entry === undefined) return false
      if (entry.held !== null) return supervisor.send(taskId, { type: "stop", mode })
      entry.stop = mode
      return true
    }

    const spawnSound = makeSpawn(options, supervisor, () => closing)
    /** What cannot be spawned, now or ever, ends and leaves these hands. */
    const spawn: Spawn = (state, ...how) =>
      Effect.catch(spawnSound(state, ...how), (error) =>
        Effect.ensuring(
          refuse(deps, state, error),
          Effect.sync(() => hands.release(state.id)),
        ),
      )

    const accept = makeAccept({
      options,
      hands,
      spawn,
      startsNothing: () => draining || closing !== null || !deps.isFenceOpen(),
    })
    const backendsAccept = (): boolean => executors.all.some((executor) => executor.accepting())
    const pull = Effect.gen(function* () {
      yield* hands.room
      if (draining || closing !== null || !deps.isFenceOpen() || !backendsAccept())
        return yield* clock.sleep(IDLE_PAUSE_MS)
      const deliveries = yield* queue.pull(options.pool, hands.freeCount, PULL_WAIT_MS)
      yield* Effect.forEach(deliveries, (delivery) => Effect.forkIn(accept(delivery), scope), { discard: true })
    }).pipe(Effect.catch(() => clock.sleep(REFUSED_PAUSE_MS)))

    const acceptDirect = makeDirect({ hands, accept, startsNothing: () => draining || closing !== null })
    yield* options.signals.subscribe(workerSubject(options.name), (payload) => {
      const command = payload as WorkerSignal
      if (command.type === "drain") draining = command.draining
      if (command.type === "signalStop") stop(command.taskId, command.mode)
      if (command.type === "wakeUp") Effect.runFork(Effect.forkIn(acceptDirect(command.wakeUp), scope))
    })

    const close = (how: "detach" | "abandon"): Effect.Effect<void> =>
      Effect.sync(() => {
        closing = how
        for (const [taskId, entry] of hands.all()) if (entry.held !== null) supervisor.send(taskId, { type: how })
      })

    return {
      name: options.name,
      holds: (taskId) => hands.has(taskId),
      heldCount: () => hands.size,
      ownsPlace: (containerId) => hands.all().some(([, { held }]) => held?.place?.containerId === containerId),
      begin: Effect.asVoid(Effect.forkIn(Effect.forever(pull), scope)),
      accepting: () => !draining && closing === null && deps.isFenceOpen() && backendsAccept(),
      adopt: (state, place, offsets) =>
        Effect.suspend(() => spawn(state, hands.takeAdopted(state.id, state.epoch), place, offsets)),
      stop,
      setDraining: (value) => {
        draining = value
      },
      isDraining: () => draining,
      idle: hands.idle,
      detach: Effect.andThen(close("detach"), Effect.raceFirst(hands.idle, clock.sleep(DETACH_MS_MAX))),
      abandon: Effect.andThen(close("abandon"), hands.idle),
      held: () => hands.all().map(([taskId, { epoch }]) => [taskId, epoch] as const),
      places: () =>
        hands
          .all()
          .flatMap(([taskId, { epoch, held }]) =>
            held?.place ? [{ taskId, epoch, executor: held.executor, place: held.place }] : [],
          ),
    }
  })
