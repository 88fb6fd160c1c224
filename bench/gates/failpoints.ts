import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { handlerExecutor } from "../../actors/executor/handler/index.ts"
import { startNode } from "../../actors/node.ts"
import { noFailpoints } from "../../actors/system/failpoints.ts"
import { liveClock } from "../../actors/system/clock.ts"
import { liveRandom } from "../../actors/system/random.ts"
import { resolveConfig } from "../../core/config.ts"
import { Clock } from "../../core/ports/clock.ts"
import { Failpoints } from "../../core/ports/failpoints.ts"
import { NO_TELEMETRY } from "../../core/telemetry.ts"
import { memoryQueue, memorySignals, memoryWorkers } from "../../store/memory/index.ts"
import { sqliteStore } from "../../store/sqlite/index.ts"
import { OWNER, runToEnd } from "../../test/support/embeddedNode.ts"
import { SILENT } from "../../test/support/silent.ts"
import type { Gate } from "./gate.ts"

const WARM_UP_TASKS = 500
const TASKS = 1_500
const QUICK_TASKS = 300
const IN_FLIGHT = 100
const HITS = 2_000_000
const ROUNDS = 5

/** Microseconds of CPU that this process has used. */
const cpuUs = (): number => {
  const { system, user } = process.cpuUsage()
  return system + user
}

/** Tasks that do nothing, from submit to end, through log, dispatcher and worker of an embedded node. */
async function lives(failpoints: Layer.Layer<Failpoints>, tasks: number): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), "berth-gates-"))
  const ports = Layer.mergeAll(sqliteStore({ dataDir }), memoryQueue(), memorySignals, memoryWorkers).pipe(
    Layer.provideMerge(Layer.mergeAll(liveClock, liveRandom, failpoints)),
  )
  const measured = Effect.gen(function* () {
    const clock = yield* Clock
    const node = yield* startNode({
      config: resolveConfig({ slots: 2 * IN_FLIGHT, ownerSlotsMax: 2 * IN_FLIGHT }),
      clusterId: "gates",
      nodeId: "n1",
      version: "0",
      store: "sqlite",
      executors: [handlerExecutor({ clock, handlers: { noop: () => null } })],
      handlers: ["noop"],
      executorDetail: () => ({}),
      backends: [],
      logger: SILENT,
      telemetry: NO_TELEMETRY,
      onFatal: (reason) => {
        throw new Error(reason)
      },
    })
    const run = (count: number) =>
      Effect.forEach(
        Array.from({ length: count }, (_, n) => n),
        (n) => runToEnd(node, { handler: "noop", input: n, idempotencyKey: `${count}-${n}-${OWNER.owner}` }),
        { concurrency: IN_FLIGHT, discard: true },
      )
    yield* run(WARM_UP_TASKS)
    const beganUs = cpuUs()
    yield* run(tasks)
    const usedUs = cpuUs() - beganUs
    yield* node.stop
    return usedUs / tasks
  })
  try {
    return await Effect.runPromise(Effect.scoped(Effect.provide(measured, ports)))
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** How often one task passes through a failpoint. */
async function hitsOfTask(tasks: number): Promise<number> {
  let hits = 0
  const counting = Layer.succeed(Failpoints, { hit: () => Effect.sync(() => void (hits += 1)) })
  await lives(counting, tasks)
  return hits / (WARM_UP_TASKS + tasks)
}

/** Microseconds that one pass through a failpoint costs in production; the best round is nearest to the truth. */
function costOfHitUs(): number {
  const { hit } = Effect.runSync(Effect.provide(Failpoints, noFailpoints))
  const passes = (withHit: boolean) =>
    Effect.gen(function* () {
      for (let pass = 0; pass < HITS; pass += 1) {
        yield* Effect.void
        if (withHit) yield* hit("start.afterAck")
      }
    })
  const timed = (withHit: boolean): number => {
    const beganUs = cpuUs()
    Effect.runSync(passes(withHit))
    return cpuUs() - beganUs
  }
  const costs = Array.from({ length: ROUNDS }, () => {
    const without = timed(false)
    return (timed(true) - without) / HITS
  })
  return Math.max(0, Math.min(...costs))
}

/**
 * Two runs of the same program differ by more than a percent on any machine that others use, too. So the share is put together
 * from what can be measured well: passes of one task, the cost of a pass, and the CPU time of a task.
 */
const share = async (tasks: number): Promise<number> => {
  const hits = await hitsOfTask(QUICK_TASKS)
  return (100 * hits * costOfHitUs()) / (await lives(noFailpoints, tasks))
}

export const failpointGates: readonly Gate[] = [
  {
    name: "failpoints: their share of a task's CPU time, submit to end",
    unit: "%",
    bound: { atMost: 1 },
    measure: () => share(TASKS),
    quick: null,
  },
]
