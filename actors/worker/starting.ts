/**
 * From a wake-up to an attempt in this worker's hands. WO1 and WO2 of worker.ts are kept here.
 */
import { Effect } from "effect"
import { type BerthError, berthError } from "../../core/errors.ts"
import type { Delivery } from "../../core/ports/queue.ts"
import { isStartable, leftOn, type TaskState } from "../../core/task/state.ts"
import { persist } from "../persist.ts"
import { isOvertaken } from "../turns.ts"
import type { Entry, Hands } from "./hands.ts"
import type { WorkerOptions } from "./options.ts"
import type { Spawn } from "./spawn.ts"

/** Before a wake-up that could not be used is given back, so that it does not run in circles. */
const REFUSED_PAUSE_MS = 500
const ZERO = { stdout: 0, stderr: 0 } as const

export interface Starting {
  readonly options: WorkerOptions
  readonly hands: Hands
  readonly spawn: Spawn
  /** True while the worker drains or goes. */
  readonly startsNothing: () => boolean
}

/** What is done with one wake-up. It never fails: what cannot be started is given back, or acked where nothing is to be started. */
export const makeAccept = (given: Starting): ((delivery: Delivery) => Effect.Effect<void>) => {
  const { hands, options, spawn } = given
  const { deps, executors } = options
  const { clock, failpoints, turns } = deps

  /** `started` is durable and names this worker, and nothing of it is in our hands yet. */
  const isOurs = ({ holder }: TaskState, epoch: number): boolean =>
    holder !== null && holder.worker === options.name && holder.epoch === epoch && holder.containerId === null

  /** The store failed while `started` was being written: only the log knows whether we hold the task now. */
  const afterDoubt = (taskId: string, epoch: number, error: BerthError) =>
    persist(turns.load(taskId), clock, deps.random).pipe(
      Effect.flatMap((loaded) => (isOurs(loaded.state, epoch) ? Effect.succeed(loaded) : Effect.fail(error))),
    )

  /** Only what seems startable may be old: whoever writes `started` on it is refused if it is. */
  const lookedAt = (taskId: string, epoch: number) => {
    const seen = turns.recent(taskId)
    return seen !== null && isStartable(seen.state, epoch, clock.nowMs()) ? Effect.succeed(seen) : turns.load(taskId)
  }

  const begin = Effect.fnUntraced(function* (state: TaskState, ack: Delivery["ack"], entry: Entry) {
    yield* ack.pipe(Effect.ignore)
    yield* failpoints.hit("start.afterAck")
    yield* spawn(state, entry, null, ZERO)
  })

  const start = Effect.fnUntraced(function* ({ ack, wakeUp }: Delivery, entry: Entry) {
    const { taskId } = wakeUp
    const { state } = yield* lookedAt(taskId, wakeUp.epoch)
    if (isOurs(state, wakeUp.epoch)) return yield* begin(state, ack, entry)
    const executor = executors.forKind(state.spec.kind)
    if (!isStartable(state, wakeUp.epoch, clock.nowMs()))
      return yield* Effect.fail(berthError("WRONG_STATE", "nothing to start"))
    if (executor === null || !options.meets(state.spec))
      return yield* Effect.fail(berthError("OVERLOADED", "another worker of the pool can take this task"))
    if (!executor.accepting())
      return yield* Effect.fail(berthError("BACKEND_UNAVAILABLE", `the ${executor.name} backend does not answer`))
    const engineId = yield* executor.engineId
    // A lost worker may have left it running here: it is removed before anybody can say that it starts again.
    for (const { runEpoch } of leftOn(state, engineId))
      yield* executor.remove({ taskId, epoch: runEpoch }, { containerId: null, imageDigest: null, policy: null })
    if (given.startsNothing()) return yield* Effect.fail(berthError("SHUTTING_DOWN", "this worker starts nothing more"))
    yield* failpoints.hit("start.beforeAppend")
    const { admission, epoch } = wakeUp
    const message = {
      type: "start",
      epoch,
      worker: options.name,
      engineId,
      admission,
      overdueMs: options.overdueMs,
      nowMs: clock.nowMs(),
    } as const
    const turned = yield* turns
      .turn(taskId, message)
      .pipe(Effect.catch((error) => (error.retryable ? afterDoubt(taskId, epoch, error) : Effect.fail(error))))
    yield* failpoints.hit("start.afterAppend")
    deps.metrics.started(turned.state, clock.nowMs())
    yield* begin(turned.state, ack, entry)
  })

  /** Takes the slot at once, before anything is awaited, so that the next pull counts it (WO2). */
  const accept = (delivery: Delivery): Effect.Effect<void> => {
    const { epoch, taskId } = delivery.wakeUp
    const inHand = hands.get(taskId)
    // A second wake-up for what runs in our hands says nothing new: the log names us already. While it is still being
    // started the log may not, and so it is looked at again (WO1). One for the next epoch waits until what is left of the
    // attempt before it is removed.
    if (inHand !== undefined && epoch <= inHand.epoch)
      return inHand.held === null && epoch === inHand.epoch
        ? Effect.andThen(
            clock.sleep(REFUSED_PAUSE_MS),
            Effect.suspend(() => accept(delivery)),
          )
        : delivery.ack.pipe(Effect.ignore)
    if (inHand !== undefined)
      return Effect.andThen(
        inHand.gone.await,
        Effect.suspend(() => accept(delivery)),
      )
    const entry = hands.take(taskId, epoch)
    if (entry === null) return delivery.nak.pipe(Effect.ignore)
    return start(delivery, entry).pipe(
      Effect.catch((error) => {
        hands.release(taskId)
        const settle = isOvertaken(error) ? delivery.ack : Effect.andThen(clock.sleep(REFUSED_PAUSE_MS), delivery.nak)
        return settle.pipe(Effect.ignore)
      }),
    )
  }
  return accept
}
