import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { liveClock } from "../actors/system/clock.ts"
import { noFailpoints } from "../actors/system/failpoints.ts"
import { liveRandom } from "../actors/system/random.ts"
import { EventLog } from "../core/ports/eventLog.ts"
import { Random } from "../core/ports/random.ts"
import { stateSubject } from "../core/record.ts"
import { sqliteStore } from "../store/sqlite/index.ts"
import { ended, started, submitted } from "../test/support/task.ts"
import { type Report, rounded, type Scenario } from "./scenario.ts"

const WARM_UP_LIVES = 2_000
const MANY_LIVES = 20_000
const AT_ONCE = 100
const ALONE_LIVES = 1_000

/** What a task writes that is submitted, starts and ends: three records, each durable before the next. */
const life = Effect.gen(function* () {
  const log = yield* EventLog
  const id = (yield* Random).id()
  const first = submitted({ id })
  const second = started(first.state)
  const submittedSeq = yield* log.append(stateSubject(id), 0, first)
  const startedSeq = yield* log.append(stateSubject(id), submittedSeq, second)
  yield* log.append(stateSubject(id), startedSeq, ended(second.state))
})

/** Milliseconds that `lives` take with `width` clients at once. */
const timed = (lives: number, width: number) =>
  Effect.gen(function* () {
    const client = Effect.forEach(Array.from({ length: Math.ceil(lives / width) }), () => life, { discard: true })
    const beganMs = performance.now()
    yield* Effect.all(
      Array.from({ length: width }, () => client),
      { concurrency: "unbounded", discard: true },
    )
    return performance.now() - beganMs
  })

const measured = Effect.gen(function* () {
  yield* timed(WARM_UP_LIVES, AT_ONCE)
  const before = process.cpuUsage()
  const manyMs = yield* timed(MANY_LIVES, AT_ONCE)
  const { user, system } = process.cpuUsage(before)
  const aloneMs = yield* timed(ALONE_LIVES, 1)
  return {
    lives: MANY_LIVES,
    atOnce: AT_ONCE,
    livesPerSecond: rounded((MANY_LIVES / manyMs) * 1_000, 0),
    cpuMsPerLife: rounded((user + system) / 1_000 / MANY_LIVES, 3),
    aloneMsPerLife: rounded(aloneMs / ALONE_LIVES),
  }
})

/** The embedded store alone: how many task lives a second its group commit takes. */
export const store: Scenario = {
  name: "store",
  help: "lives of three appends with their rows, on one SQLite file, every commit fsynced",
  measure: async (): Promise<Report> => {
    const dataDir = await mkdtemp(join(tmpdir(), "berth-bench-"))
    const system = Layer.mergeAll(liveClock, liveRandom, noFailpoints)
    try {
      return await Effect.runPromise(Effect.provide(measured, Layer.provideMerge(sqliteStore({ dataDir }), system)))
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  },
}
