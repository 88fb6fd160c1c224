import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import { liveClock } from "../actors/system/clock.ts"
import { liveRandom } from "../actors/system/random.ts"
import { EventLog } from "../core/ports/eventLog.ts"
import { stateSubject } from "../core/record.ts"
import { Berth, type NatsOptions } from "../gateway/main/index.ts"
import { jetstreamPorts } from "../store/jetstream/index.ts"
import type { Broker } from "../test/support/broker.ts"
import { submitted } from "../test/support/task.ts"
import { withBroker } from "./broker.ts"
import { quantile, type Report, rounded, type Scenario } from "./scenario.ts"

/** A process that has just begun runs much of its code unoptimised, for some thousand tasks. */
const WARM_UP_TASKS = 2_500
/** The raw way is short, and as fast as it gets after a few hundred. */
const WARM_UP_APPENDS = 500
const MANY_TASKS = 4_000
const IN_FLIGHT = 100
const ALONE_TASKS = 500
const RAW_APPENDS = 10_000

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
  help: "no-op handler tasks, every record fsynced, embedded or (--nats) on a broker: submit to finished, once it is warm",
  measure: ({ nats }) =>
    nats
      ? withBroker(async (broker, version) => {
          const rawPerSecond = await appendsPerSecond(broker)
          const report = await measured({ servers: broker.url, monitors: [broker.monitor] })
          const ofRaw = rounded(Number(report.perSecond) / rawPerSecond, 3)
          return { broker: version, ...report, rawAppendsPerSecond: rounded(rawPerSecond, 0), ofRaw }
        })
      : measured(null),
}

/** Bare appends of a task's first record, as many at once: what the broker can do at most. */
const appendsPerSecond = (broker: Broker): Promise<number> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const options = { servers: [broker.url], cluster: "raw", replicas: 1, monitors: [broker.monitor] }
        const ports = yield* Layer.build(
          jetstreamPorts(options).pipe(Layer.provide(Layer.mergeAll(liveClock, liveRandom))),
        )
        const log = Context.get(ports, EventLog)
        const append = (n: number) => log.append(stateSubject(`raw${n}`), 0, submitted({ id: `raw${n}` }))
        const all = (from: number, count: number) =>
          Effect.forEach(
            Array.from({ length: count }, (_, n) => from + n),
            append,
            { concurrency: IN_FLIGHT, discard: true },
          )
        yield* all(0, WARM_UP_APPENDS)
        const beganMs = performance.now()
        yield* all(WARM_UP_APPENDS, RAW_APPENDS)
        return RAW_APPENDS / ((performance.now() - beganMs) / 1_000)
      }),
    ),
  )

async function measured(nats: NatsOptions | null): Promise<Report> {
  const dataDir = await mkdtemp(join(tmpdir(), "berth-bench-"))
  const berth = await Berth.open({
    dataDir,
    ...(nats === null ? {} : { nats }),
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
      warmUpTasks: WARM_UP_TASKS,
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
}
