/**
 * Measures, and prints what it measured. Machines differ and are shared: compare numbers of one run with one another.
 *
 *   npm run -s bench -- [e2e] [store] [log] [log3] [startWidth] [failover] [--nats] [--json]
 */
import { parseArgs } from "node:util"
import { e2e } from "./e2e.ts"
import { failover } from "./failover.ts"
import { log, log3 } from "./log.ts"
import type { Scenario } from "./scenario.ts"
import { startWidth } from "./startWidth.ts"
import { store } from "./store.ts"

const SCENARIOS: readonly Scenario[] = [e2e, store, log, log3, startWidth, failover]

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false }, nats: { type: "boolean", default: false } },
})
const chosen = SCENARIOS.filter(({ name, onlyByName }) =>
  positionals.length === 0 ? onlyByName !== true : positionals.includes(name),
)
if (chosen.length === 0) {
  const names = SCENARIOS.map(({ help, name }) => `  ${name}  ${help}`).join("\n")
  process.stderr.write(`there is no scenario ${positionals.join(", ")}; these are:\n${names}\n`)
  process.exit(2)
}
for (const { help, measure, name } of chosen) {
  const report = await measure({ nats: values.nats })
  if (values.json) process.stdout.write(`${JSON.stringify({ scenario: name, ...report })}\n`)
  else {
    process.stdout.write(`${name}: ${help}\n`)
    for (const [key, value] of Object.entries(report)) process.stdout.write(`  ${key.padEnd(16)} ${value}\n`)
  }
}
