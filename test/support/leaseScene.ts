/** Two workers, a leader and an engine under leases, and a task that runs on one of them. */
import { Effect } from "effect"
import type { ExecutorShape } from "../../core/ports/executor.ts"
import type { TaskSpec } from "../../core/task/spec.ts"
import { makeLeaseRig, type RigWorker } from "./leaseRig.ts"
import { pausableEngine } from "./pausableEngine.ts"

export const LEASE_MS = 10_000
/** Longer than a lease is trusted, and shorter than it lasts. */
const SLOW_MS = 8_000

export interface SceneOptions {
  /** Engines of the two workers. */
  readonly engines?: readonly [string, string]
  readonly runMs?: number
  /** Making a container takes long. */
  readonly slow?: boolean
}

export const leaseScenes = (afterEach: (done: () => Promise<void>) => void) => {
  const open: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of open.splice(0)) await close()
  })
  return async (options: SceneOptions = {}) => {
    const rig = makeLeaseRig({ config: { slots: 4, lookahead: 0, leaseMs: LEASE_MS } })
    const engine = pausableEngine(rig.clock, options.runMs ?? 20_000)
    let isHung = false
    const executorOf = (engineId: string): ExecutorShape => {
      const executor = engine.executorOf(engineId, () => isHung)
      if (options.slow !== true) return executor
      return { ...executor, create: (job) => Effect.andThen(rig.clock.sleep(SLOW_MS), executor.create(job)) }
    }
    const start = (engineId: string): Promise<RigWorker> => rig.startWorker([executorOf(engineId)])
    const [first, second] = options.engines ?? ["e1", "e1"]
    const w1 = await start(first)
    const w2 = await start(second)
    const leader = await rig.startLeader()
    open.push(rig.close)
    const submit = async (id: string, spec: Partial<TaskSpec> = {}): Promise<void> => {
      await rig.submit({ id, spec: { kind: "image", target: "alpine", timeoutMs: 600_000, ...spec } })
    }
    /** Submits a task and waits until its program runs; answers who holds it. */
    const running = async (id: string, spec: Partial<TaskSpec> = {}): Promise<string> => {
      await submit(id, spec)
      await rig.advanceUntil(async () => (await rig.state(id)).phase === "running", `${id} to run`)
      return (await rig.state(id)).holder?.worker ?? ""
    }
    return { rig, engine, leader, w1, w2, start, submit, running, hang: (hangs: boolean) => void (isHung = hangs) }
  }
}
