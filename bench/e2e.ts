import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Berth } from "../gateway/main/index.ts"
import { quantile, type Report, rounded, type Scenario } from "./scenario.ts"

const WARM_UP_TASKS = 500
const MANY_TASKS = 4_000
const IN_FLIGHT = 100
const ALONE_TASKS = 500

/** Runs `count` no-op tasks, `width` of them at a time; answers the milliseconds of each, submit to finished. */
async function runTasks(berth: Berth, count: number, width: number): Promise<readonly number[]> {
  const latencies: number[] = []
  let started = 0
  const lane = async (): Promise<void> => {
    while (started < count) {
      started += 1
      const beganMs = performance.now()
      const outcome = await berth.run({ handler: "noop" })
      if (outcome.task.status !== "completed") throw new Error(`a no-op task ended ${outcome.task.status}`)
      latencies.push(performance.now() - beganMs)
    }
  }
  await Promise.all(Array.from({ length: width }, lane))
  return latencies
}

async function timed(
  berth: Berth,
  count: number,
  width: number,
): Promise<{ readonly perSecond: number; readonly latencies: readonly number[] }> {
  const beganMs = performance.now()
  const latencies = await runTasks(berth, count, width)
  return { perSecond: count / ((performance.now() - beganMs) / 1_000), latencies }
}

/** Submit to finished of handlers that do nothing: the whole way through client, door, log, dispatcher and worker. */
export const e2e: Scenario = {
  name: "e2e",
  help: "no-op handler tasks, embedded, every record fsynced: submit to finished",
  measure: async (): Promise<Report> => {
    const dataDir = await mkdtemp(join(tmpdir(), "berth-bench-"))
    const berth = await Berth.open({
      dataDir,
      executor: "none",
      handlers: { noop: () => null },
      slots: 2 * IN_FLIGHT,
      config: { ownerSlotsMax: 2 * IN_FLIGHT },
    })
    try {
      await runTasks(berth, WARM_UP_TASKS, IN_FLIGHT)
      const many = await timed(berth, MANY_TASKS, IN_FLIGHT)
      const alone = await timed(berth, ALONE_TASKS, 1)
      return {
        tasks: MANY_TASKS,
        inFlight: IN_FLIGHT,
        perSecond: rounded(many.perSecond, 0),
        p50Ms: rounded(quantile(many.latencies, 0.5)),
        p99Ms: rounded(quantile(many.latencies, 0.99)),
        alonePerSecond: rounded(alone.perSecond, 0),
        aloneP50Ms: rounded(quantile(alone.latencies, 0.5)),
        aloneP99Ms: rounded(quantile(alone.latencies, 0.99)),
      }
    } finally {
      await berth.close()
      await rm(dataDir, { recursive: true, force: true })
    }
  },
}
