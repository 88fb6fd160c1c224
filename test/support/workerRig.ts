/** One worker over the ports in memory and a fake executor. */
import { Effect, Exit, Scope } from "effect"
import { makeWorker, type Worker } from "../../actors/worker/worker.ts"
import type { ExecutorShape } from "../../core/ports/executor.ts"
import type { TaskSpec } from "../../core/task/spec.ts"
import { type TaskState, nextEpoch } from "../../core/task/state.ts"
import { makeRig, type Rig, type RigOptions } from "./actorRig.ts"
import { settle } from "./clock.ts"
import { type FakeExecutor, fakeExecutor } from "./fakeExecutor.ts"
import type { TaskOptions } from "./task.ts"
import { until } from "./until.ts"
import { afterEach } from "vitest"

export interface WorkerRigOptions extends RigOptions {
  readonly slots?: number
  readonly executor?: FakeExecutor
  readonly others?: readonly ExecutorShape[]
  readonly name?: string
  readonly fence?: Partial<Pick<Rig, "fenceOpen" | "isFenceOpen">>
  readonly meets?: (spec: TaskSpec) => boolean
}

type HeldStep = "create" | "run"

export async function makeWorkerRig(options: WorkerRigOptions = {}) {
  const rig = makeRig(options)
  const executor = options.executor ?? fakeExecutor()
  const all = [executor, ...(options.others ?? [])]
  const crashes: string[] = []
  const escalations: string[] = []
  const scope = await Effect.runPromise(Scope.make())
  const makeOne = (name: string, slots = options.slots ?? 4, queue = rig.queue): Promise<Worker> =>
    rig.run(
      Scope.provide(
        makeWorker({
          name,
          pool: "default",
          slots,
          overdueMs: 1_000,
          outputFlushMs: 50,
          executors: { all, forKind: (kind) => all.find(({ kinds }) => kinds.includes(kind)) ?? null },
          queue,
          signals: rig.signals,
          programs: rig.programs,
          deps: { ...rig, ...options.fence },
          meets: options.meets ?? (() => true),
          onEscalate: (reason) => void escalations.push(reason),
          onCrash: (taskId) => void crashes.push(taskId),
        }),
        scope,
      ),
    )
  const worker = await makeOne(options.name ?? "w1")
  const wake = async (taskId: string, epoch?: number): Promise<void> => {
    const state = await rig.state(taskId)
    const { lane, pool } = state.spec
    await rig.run(rig.queue.publish([{ pool, lane, taskId, epoch: epoch ?? nextEpoch(state), admission: 1 }]))
  }
  /** Submits an image task and wakes it. */
  const start = async (id: string, task: Partial<TaskOptions> = {}): Promise<void> => {
    await rig.submit({ id, ...task, spec: { kind: "image", target: "alpine", ...task.spec } })
    await wake(id)
  }
  /** Starts `t1`, which then stands still in a step of its executor until `letGo` of that step. */
  const startHeldAt = async (step: HeldStep, task: Partial<TaskOptions> = {}): Promise<void> => {
    executor.hold(step)
    await start("t1", task)
    await executor.untilCalled(`${step} t1`)
  }
  /** Starts `t1`, whose program has ended, and which stands still while its artifacts are collected. */
  const startHeldAtCollect = async (): Promise<void> => {
    executor.hold("collect")
    await start("t1", { spec: { artifacts: true } })
    ;(await executor.run1("t1")).exit()
    await executor.untilCalled("collect t1")
  }
  /** Lets go of everything while time passes: a record is tried again after a pause that may begin at any moment from now on. */
  const detachInTime = async (): Promise<void> => {
    let isLetGo = false
    const letGo = rig.run(worker.detach).then(() => {
      isLetGo = true
    })
    while (!isLetGo) {
      await rig.manual.advance(100)
      await settle()
    }
    await letGo
  }
  const untilState = async (
    taskId: string,
    wanted: (state: TaskState) => boolean,
    what: string,
  ): Promise<TaskState> => {
    for (let turn = 0; turn < 5_000; turn += 1) {
      const state = await rig.state(taskId)
      if (wanted(state)) return state
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    throw new Error(`${taskId} never was ${what}; it is ${JSON.stringify(await rig.state(taskId))}`)
  }
  return {
    ...rig,
    executor,
    worker,
    makeOne,
    crashes,
    escalations,
    wake,
    start,
    startHeldAt,
    startHeldAtCollect,
    detachInTime,
    untilState,
    untilRest: (taskId: string) => untilState(taskId, ({ phase }) => phase === "ended", "at rest"),
    untilPhase: (taskId: string, phase: string) => untilState(taskId, (state) => state.phase === phase, phase),
    untilIdle: () => until(() => worker.heldCount() === 0, "an idle worker"),
    begin: () => rig.run(worker.begin),
    waiting: async (): Promise<number> => {
      const lanes = await rig.run(rig.queue.waiting("default"))
      return Object.values(lanes).reduce((sum, count) => sum + count, 0)
    },
    close: () => Effect.runPromise(Scope.close(scope, Exit.void)),
  }
}
export type WorkerRig = Awaited<ReturnType<typeof makeWorkerRig>>

/** Makes rigs whose worker pulls, and closes them after each test. */
export function workerRigs(): (options?: WorkerRigOptions) => Promise<WorkerRig> {
  const rigs: WorkerRig[] = []
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.close()
  })
  return async (options = {}) => {
    const rig = await makeWorkerRig(options)
    rigs.push(rig)
    await rig.begin()
    return rig
  }
}

/** What the log tells of a task: facts of its state, and where output came in between. */
export const factsOf = async (rig: WorkerRig, taskId = "t1"): Promise<readonly string[]> =>
  (await rig.run(rig.store.log.readTask(taskId, 0, 200))).flatMap(({ record }) =>
    record.kind === "task" ? record.facts.map(({ type }) => type) : [record.kind],
  )
