/**
 * Lives per second of the embedded store alone: per task three appends (submitted, started, ended) with their rows, every
 * one durable before the next, by 100 clients at once and by one.
 *
 *   npx tsx bench/store.ts [--json] [--lives 20000]
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Effect, Layer } from "effect"
import { liveClock } from "../actors/system/clock.ts"
import { noFailpoints } from "../actors/system/failpoints.ts"
import { liveRandom } from "../actors/system/random.ts"
import { EventLog } from "../core/ports/eventLog.ts"
import { Random } from "../core/ports/random.ts"
import { stateSubject } from "../core/record.ts"
import { sqliteStore } from "../store/sqlite/index.ts"
import { ended, started, submitted } from "../test/support/task.ts"

const { values } = parseArgs({ options: { json: { type: "boolean" }, lives: { type: "string", default: "20000" } } })

const life = Effect.gen(function* () {
  const log = yield* EventLog
  const id = (yield* Random).id()
  const first = submitted({ id })
  const second = started(first.state)
  const seq1 = yield* log.append(stateSubject(id), 0, first)
  const seq2 = yield* log.append(stateSubject(id), seq1, second)
  yield* log.append(stateSubject(id), seq2, ended(second.state))
})

const measured = (lives: number, concurrent: number) =>
  Effect.gen(function* () {
    const client = Effect.forEach(Array.from({ length: Math.ceil(lives / concurrent) }), () => life, { discard: true })
    const begin = performance.now()
    const cpu = process.cpuUsage()
    yield* Effect.all(
      Array.from({ length: concurrent }, () => client),
      { concurrency: "unbounded", discard: true },
    )
    const ms = performance.now() - begin
    const { user, system } = process.cpuUsage(cpu)
    return {
      concurrent,
      lives,
      livesPerSecond: Math.round((lives / ms) * 1_000),
      msPerLife: Number(((ms * concurrent) / lives).toFixed(3)),
      cores: Number(((user + system) / 1_000 / ms).toFixed(2)),
    }
  })

const dataDir = mkdtempSync(join(tmpdir(), "berth-bench-"))
const system = Layer.mergeAll(liveClock, liveRandom, noFailpoints)
const run = Effect.gen(function* () {
  const lives = Number(values.lives)
  yield* measured(Math.ceil(lives / 10), 100)
  return [yield* measured(lives, 100), yield* measured(Math.ceil(lives / 20), 1)]
}).pipe(Effect.provide(Layer.provideMerge(sqliteStore({ dataDir }), system)))

const runs = await Effect.runPromise(run).finally(() => rmSync(dataDir, { recursive: true, force: true }))
if (values.json === true) console.log(JSON.stringify({ scenario: "store", durability: "fsynced", runs }))
else
  for (const { concurrent, livesPerSecond, msPerLife } of runs)
    console.log(`${concurrent} at once: ${livesPerSecond} lives/s, ${msPerLife} ms a life`)
