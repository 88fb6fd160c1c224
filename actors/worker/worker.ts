/**
 * A worker: pulls wake-ups while it has a free slot and a backend that answers, starts attempts, and holds them until they
 * have ended.
 *
 *   WO1. A wake-up is acked only after `started` is durable, or after the log showed that there is nothing to start (I4).
 *   WO2. At most `slots` attempts are started by pulling; adopted ones come on top and are waited for.
 *   WO3. A wish to stop reaches an attempt in every step, also before it is spawned.
 *   WO4. Draining starts nothing new; detaching leaves running places to a successor.
 */
import { Effect, Latch, type Scope } from "effect"
import { type BerthError, berthError } from "../../core/errors.ts"
import type { Executors, Placement, StopMode } from "../../core/ports/executor.ts"
import type { Delivery, Queue } from "../../core/ports/queue.ts"
import { type Signals, workerSubject } from "../../core/ports/signals.ts"
import type { Command } from "../../core/task/decide.ts"
import { resultWithoutExit } from "../../core/task/outcome.ts"
import { isStartable, type TaskState } from "../../core/task/state.ts"
import { RESTART_INTENSITY } from "../../core/policy/supervise.ts"
import { liveOutputSubject } from "../../core/ports/signals.ts"
import { makeOutput } from "../output.ts"
import { persist } from "../persist.ts"
import type { Programs } from "../programs.ts"
import type { Deps, Held } from "./held.ts"
import { makeSteps } from "./steps.ts"
import { startSupervisor } from "./supervisor.ts"

const PULL_WAIT_MS = 1_000
const REFUSED_PAUSE_MS = 500
const ZERO = { stdout: 0, stderr: 0 } as const

export interface WorkerOptions {
  readonly name: string
  readonly pool: string
  readonly slots: number
  readonly overdueMs: number
  readonly outputFlushMs: number
  readonly executors: Executors["Service"]
  readonly queue: Queue["Service"]
  readonly signals: Signals["Service"]
  readonly programs: Programs["Service"]
  readonly deps: Deps
  /** The worker cannot go on; its parent starts another one. */
  readonly onEscalate: (reason: string) => void
  readonly onCrash: (taskId: string, error: unknown) => void
}

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
}

interface Entry {
  slot: number
  stop: StopMode | null
  held: Held | null
}

export const makeWorker = (options: WorkerOptions): Effect.Effect<Worker, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const { deps, executors, queue } = options
    const { clock, failpoints, turns } = deps
    const entries = new Map<string, Entry>()
    const freeSlots = Array.from({ length: options.slots }, (_, index) => index)
    const room = Latch.makeUnsafe(true)
    const idle = Latch.makeUnsafe(true)
    let nextExtraSlot = options.slots
    let draining = false
    let closing = false

    const release = (taskId: string): void => {
      const entry = entries.get(taskId)
      entries.delete(taskId)
      if (entry !== undefined && entry.slot < options.slots) freeSlots.push(entry.slot)
      if (freeSlots.length > 0) room.openUnsafe()
      if (entries.size === 0) idle.openUnsafe()
    }
    const reserve = (taskId: string, slot: number): Entry => {
      const entry: Entry = { slot, stop: null, held: null }
      entries.set(taskId, entry)
      idle.closeUnsafe()
      if (freeSlots.length === 0) room.closeUnsafe()
      return entry
    }

    const supervisor = startSupervisor({
      clock,
      intensity: RESTART_INTENSITY,
      onDone: release,
      onCrash: (taskId, error) => {
        options.onCrash(taskId, error)
        Effect.runFork(handBack(taskId))
      },
      onEscalate: options.onEscalate,
    })
    yield* Effect.addFinalizer(() => Effect.sync(supervisor.stop))

    /** After a crash of ours: the log decides what becomes of the task; its place is removed by the sweep. */
    const handBack = (taskId: string): Effect.Effect<void> =>
      turns.load(taskId).pipe(
        Effect.flatMap(({ state }) =>
          state.holder?.worker !== options.name
            ? Effect.void
            : turns.turn(taskId, {
                type: "lose",
                epoch: state.epoch,
                cause: "infrastructure",
                message: "the attempt's actor crashed",
                overlapPossible: true,
                nowMs: clock.nowMs(),
                jitter01: deps.random.next01(),
              }),
        ),
        Effect.ignore,
        Effect.andThen(Effect.sync(() => release(taskId))),
      )

    const stop = (taskId: string, mode: StopMode): boolean => {
      const entry = entries.get(taskId)
      if (entry === undefined) return false
      if (entry.held !== null) return supervisor.send(taskId, { type: "stop", mode })
      entry.stop = mode
      return true
    }

    const spawn = Effect.fn("worker.spawn")(function* (state: TaskState, entry: Entry, adopted: Placement | null, offsets: Held["offsets"]) {
      const { holder, id: taskId, owner, spec } = state
      const executor = executors.forKind(spec.kind)
      if (holder === null || executor === null) return yield* Effect.die(new Error(`task ${taskId} cannot be spawned here`))
      const program = yield* persist(options.programs.load(taskId), clock, deps.random)
      const job = { taskId, owner, attempt: state.attempt, epoch: holder.runEpoch, worker: options.name, spec, program, slot: entry.slot }
      const output = yield* makeOutput({
        log: deps.log,
        clock,
        flushMs: options.outputFlushMs,
        sendLive: (record) => options.signals.publish(liveOutputSubject(taskId), record).pipe(Effect.ignore),
        taskId,
        owner,
        attempt: state.attempt,
        epoch: holder.epoch,
        offsets,
        onAppended: failpoints.hit("output.afterAppend"),
      })
      const held: Held = {
        job,
        executor,
        output,
        epoch: holder.epoch,
        startedAtMs: holder.startedAtMs,
        overlapPossible: state.overlapPossible,
        offsets,
        place: adopted,
      }
      const steps = makeSteps(deps, held, () => supervisor.send(taskId, { type: "began" }))
      const stopMode = entry.stop ?? state.stop?.mode ?? null
      entry.held = held
      supervisor.spawn(taskId, { steps, timeoutMs: spec.timeoutMs, adopted, stop: stopMode })
    })

    const start = Effect.fn("worker.start")(function* ({ ack, wakeUp }: Delivery, entry: Entry) {
      const { taskId } = wakeUp
      const { state } = yield* turns.load(taskId)
      const executor = executors.forKind(state.spec.kind)
      if (!isStartable(state, wakeUp.epoch, clock.nowMs()) || executor === null) return yield* Effect.fail(berthError("WRONG_STATE", "nothing to start"))
      if (!executor.accepting()) return yield* Effect.fail(berthError("BACKEND_UNAVAILABLE", `the ${executor.name} backend does not answer`))
      const engineId = yield* executor.engineId
      yield* failpoints.hit("start.beforeAppend")
      const { admission, epoch } = wakeUp
      const message = { type: "start", epoch, worker: options.name, engineId, admission, overdueMs: options.overdueMs, nowMs: clock.nowMs() } as const
      const turned = yield* turns.turn(taskId, message)
      yield* failpoints.hit("start.afterAppend")
      yield* ack.pipe(Effect.ignore)
      yield* failpoints.hit("start.afterAck")
      yield* spawn(turned.state, entry, null, ZERO).pipe(Effect.catch((error) => refuse(turned.state, error)))
    })

    /** The program itself cannot be had, now or ever: the attempt ends, and its slot with it. */
    const refuse = Effect.fn("worker.refuse")(function* (state: TaskState, error: BerthError) {
      const nowMs = clock.nowMs()
      const result = resultWithoutExit(state, { status: "failed", reason: "refused", message: error.message, nowMs })
      yield* persist(turns.turn(state.id, { type: "exit", epoch: state.epoch, result, nowMs, jitter01: 0 }), clock, deps.random)
      release(state.id)
    })

    /** Takes the slot at once, before anything is awaited, so that the next pull counts it (WO2). */
    const accept = (delivery: Delivery): Effect.Effect<void> => {
      const { taskId } = delivery.wakeUp
      // A second wake-up of a task in our hands says nothing new: the log names us already.
      if (entries.has(taskId)) return delivery.ack.pipe(Effect.ignore)
      const slot = freeSlots.pop()
      if (slot === undefined) return delivery.nak.pipe(Effect.ignore)
      const entry = reserve(taskId, slot)
      return start(delivery, entry).pipe(
        Effect.catch((error) => {
          release(taskId)
          const nothingToStart = error.code === "WRONG_STATE" || error.code === "NOT_FOUND"
          const settle = nothingToStart ? delivery.ack : Effect.andThen(clock.sleep(REFUSED_PAUSE_MS), delivery.nak)
          return settle.pipe(Effect.ignore)
        }),
      )
    }

    const backendsAccept = (): boolean => executors.all.some((executor) => executor.accepting())
    const pull = Effect.gen(function* () {
      yield* room.await
      if (draining || closing || !backendsAccept()) return yield* clock.sleep(REFUSED_PAUSE_MS / 5)
      const deliveries = yield* queue.pull(options.pool, freeSlots.length, PULL_WAIT_MS)
      yield* Effect.forEach(deliveries, (delivery) => Effect.forkDetach(accept(delivery)), { discard: true })
    }).pipe(Effect.catch(() => clock.sleep(REFUSED_PAUSE_MS)))

    yield* options.signals.subscribe(workerSubject(options.name), (payload) => {
      const command = payload as Command
      if (command.type === "signalStop") stop(command.taskId, command.mode)
    })
    const scope = yield* Effect.scope

    return {
      name: options.name,
      holds: (taskId) => entries.has(taskId),
      heldCount: () => entries.size,
      ownsPlace: (containerId) => [...entries.values()].some(({ held }) => held?.place?.containerId === containerId),
      begin: Effect.asVoid(Effect.forkIn(Effect.forever(pull), scope)),
      accepting: () => !draining && !closing && backendsAccept(),
      adopt: (state, place, offsets) => Effect.suspend(() => spawn(state, reserve(state.id, freeSlots.pop() ?? nextExtraSlot++), place, offsets)),
      stop,
      setDraining: (value) => {
        draining = value
      },
      isDraining: () => draining,
      idle: idle.await,
      detach: Effect.suspend(() => {
        closing = true
        for (const [taskId, entry] of entries) if (entry.held !== null) supervisor.send(taskId, { type: "detach" })
        return idle.await
      }),
    }
  })
