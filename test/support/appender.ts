/**
 * A process that opens a store and appends until it is killed, saying on stdout, one line each, what was acknowledged.
 *
 *   node --import tsx test/support/appender.ts <dataDir> <writers>
 */
import { writeSync } from "node:fs"
import { Effect } from "effect"
import { stateSubject } from "../../core/record.ts"
import { openStore } from "./sqlite.ts"
import { ended, printed, started, submitted } from "./task.ts"

const [dataDir = "", writers = "8", run = "0"] = process.argv.slice(2)

const say = (line: string): void => void writeSync(1, `${line}\n`)

const live = Effect.gen(function* () {
  const { log } = yield* openStore(dataDir)
  say("ready")
  const life = (id: string) =>
    Effect.gen(function* () {
      const first = submitted({ id })
      let seq = yield* log.append(stateSubject(id), 0, first)
      say(`${seq} ${id} pending`)
      const second = started(first.state)
      seq = yield* log.append(stateSubject(id), seq, second)
      say(`${seq} ${id} running`)
      say(`${yield* log.appendOutput(id, printed(`${id}\n`))} ${id} output`)
      seq = yield* log.append(stateSubject(id), seq, ended(second.state))
      say(`${seq} ${id} completed`)
    })
  const writer = (name: number) =>
    Effect.gen(function* () {
      for (let i = 0; ; i++) yield* life(`r${run}w${name}n${i}`)
    })
  yield* Effect.all(
    Array.from({ length: Number(writers) }, (_, name) => writer(name)),
    { concurrency: "unbounded" },
  )
})

Effect.runPromise(Effect.scoped(live)).catch((error: unknown) => {
  say(`failed ${String((error as { code?: string }).code)} ${String((error as Error).message)}`)
  process.exitCode = 1
})
