/**
 * A process that appends one task after the other to a store whose disk may fail. It says on stdout what was acknowledged
 * and what was refused, and `recovered` at the first acknowledgement after a refusal.
 */
import { writeSync } from "node:fs"
import { Effect } from "effect"
import { stateSubject } from "../../core/record.ts"
import { openStore } from "./sqlite.ts"
import { submitted } from "./task.ts"

const say = (line: string): void => void writeSync(1, `${line}\n`)

const run = Effect.gen(function* () {
  const { log } = yield* openStore(process.argv[2] ?? "")
  let wasRefused = false
  for (let i = 0; ; i++) {
    const id = `t${i}`
    const record = submitted({ id })
    const answer = yield* Effect.match(log.append(stateSubject(id), 0, record), {
      onFailure: (error) => `refused ${error.code}`,
      onSuccess: (seq) => `acknowledged ${id} ${seq}`,
    })
    if (wasRefused && answer.startsWith("acknowledged")) say("recovered")
    wasRefused = answer.startsWith("refused")
    say(answer)
    if (wasRefused) yield* Effect.sleep(5)
  }
})

void Effect.runPromise(Effect.scoped(run))
