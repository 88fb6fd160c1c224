import { Context, Deferred, Effect, Layer, type Scope } from "effect"
import { liveClock } from "../actors/system/clock.ts"
import { liveRandom } from "../actors/system/random.ts"
import type { BerthError } from "../core/errors.ts"
import { EventLog } from "../core/ports/eventLog.ts"
import { type Delivery, Queue } from "../core/ports/queue.ts"
import { type Seq, stateSubject, type TaskRecord } from "../core/record.ts"
import { jetstreamPorts } from "../store/jetstream/index.ts"
import { ended, started, submitted } from "../test/support/task.ts"
import { withBrokers } from "./broker.ts"
import { type Report, rounded, type Scenario } from "./scenario.ts"

const WARM_UP_LIVES = 200
const MANY_LIVES = 2_000
const IN_FLIGHT = 100
const ALONE_LIVES = 200
const RAW_APPENDS = 5_000
const PULL_MS = 1_000
const POOL = "bench"

type Ports = Context.Context<EventLog | Queue>

interface Waiting {
  readonly record: TaskRecord
  readonly version: Seq
  readonly done: Deferred.Deferred<void, BerthError>
}

/** A task's messages and nothing else: submitted, woken, taken, started, acknowledged, ended; taken by one worker, many at once. */
const makeLife = (ports: Ports): Effect.Effect<Effect.Effect<void, BerthError>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const log = Context.get(ports, EventLog)
    const queue = Context.get(ports, Queue)
    const waiting = new Map<string, Waiting>()
    const run = ({ ack, wakeUp: { taskId } }: Delivery): Effect.Effect<void> =>
      Effect.suspend(() => {
        const task = waiting.get(taskId)
        waiting.delete(taskId)
        if (task === undefined) return Effect.ignore(ack)
        const second = started(task.record.state)
        return Effect.gen(function* () {
          const seq = yield* log.append(stateSubject(taskId), task.version, second)
          yield* ack
          yield* log.append(stateSubject(taskId), seq, ended(second.state))
        }).pipe(
          Effect.exit,
          Effect.flatMap((exit) => Deferred.done(task.done, exit)),
          Effect.asVoid,
        )
      })
    yield* Effect.forkScoped(
      Effect.forever(
        Effect.flatMap(queue.pull(POOL, IN_FLIGHT, PULL_MS), (taken) =>
          Effect.forEach(taken, (delivery) => Effect.forkScoped(run(delivery)), { discard: true }),
        ),
      ),
    )
    let taskCount = 0
    return Effect.gen(function* () {
      const id = `b${++taskCount}`
      const record = submitted({ id })
      const version = yield* log.append(stateSubject(id), 0, record)
      const done = yield* Deferred.make<void, BerthError>()
      waiting.set(id, { record, version, done })
      yield* queue.publish([{ pool: POOL, lane: "urgent", taskId: id, epoch: 1, admission: version }])
      yield* Deferred.await(done)
    })
  })

const msOf = (
  act: Effect.Effect<unknown, BerthError>,
  count: number,
  width: number,
): Effect.Effect<number, BerthError> =>
  Effect.gen(function* () {
    const client = Effect.forEach(Array.from({ length: Math.ceil(count / width) }), () => act, { discard: true })
    const beganMs = performance.now()
    yield* Effect.all(
      Array.from({ length: width }, () => client),
      { concurrency: "unbounded", discard: true },
    )
    return performance.now() - beganMs
  })

/** Appends without a version, as many at once: what the broker takes at most. */
const rawAppend = (ports: Ports) => {
  const log = Context.get(ports, EventLog)
  const record = submitted({ id: "raw" })
  let count = 0
  return Effect.suspend(() => log.append(stateSubject(`r${++count}`), 0, record))
}

const measured = (
  servers: readonly string[],
  monitors: readonly string[],
): Effect.Effect<Report, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const system = Layer.mergeAll(liveClock, liveRandom)
    const replicas = servers.length
    const ports = yield* Layer.build(
      jetstreamPorts({ servers, monitors, cluster: "bench", replicas }).pipe(Layer.provide(system)),
    )
    const life = yield* makeLife(ports)
    yield* msOf(life, WARM_UP_LIVES, IN_FLIGHT)
    const rawMs = yield* msOf(rawAppend(ports), RAW_APPENDS, IN_FLIGHT)
    const before = process.cpuUsage()
    const manyMs = yield* msOf(life, MANY_LIVES, IN_FLIGHT)
    const { user, system: kernel } = process.cpuUsage(before)
    const aloneMs = yield* msOf(life, ALONE_LIVES, 1)
    const livesPerSecond = (MANY_LIVES / manyMs) * 1_000
    const rawPerSecond = (RAW_APPENDS / rawMs) * 1_000
    return {
      servers: replicas,
      inFlight: IN_FLIGHT,
      durability: Context.get(ports, EventLog).durability,
      appendsPerSecond: rounded(rawPerSecond, 0),
      livesPerSecond: rounded(livesPerSecond, 0),
      livesPerAppend: rounded(livesPerSecond / rawPerSecond, 3),
      cpuMsPerLife: rounded((user + kernel) / 1_000 / MANY_LIVES, 3),
      aloneMsPerLife: rounded(aloneMs / ALONE_LIVES),
    }
  })

const onBrokers = (count: 1 | 3): Promise<Report> =>
  withBrokers(count, async (brokers, version) => {
    const [servers, monitors] = [brokers.map(({ url }) => url), brokers.map(({ monitor }) => monitor)]
    return { server: version, ...(await Effect.runPromise(Effect.scoped(measured(servers, monitors)))) }
  })

/** The cluster's log and queue alone, on a broker that syncs always: how many bare task lives a second they carry. */
export const log: Scenario = {
  name: "log",
  help: "bare task lives over NATS JetStream, sync always: three appends, a wake-up, its ack",
  measure: () => onBrokers(1),
  onlyByName: true,
}

/** The same on three servers with three replicas. */
export const log3: Scenario = {
  name: "log3",
  help: "the same on three servers with three replicas",
  measure: () => onBrokers(3),
  onlyByName: true,
}
