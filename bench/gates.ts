/**
 * `npm run gates`: every number beside its bound; fails when one does not hold.
 *
 *   npm run -s gates [-- --json] [<part of a name>]
 */
import { parseArgs } from "node:util"
import { GATES } from "./gates/all.ts"
import { boundText, holds } from "./gates/gate.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean" }, only: { type: "string" } },
})
const wanted = positionals[0] ?? values.only ?? ""

const chosen = GATES.filter((gate) => gate.name.includes(wanted))
let failed = chosen.length === 0 ? 1 : 0
for (const gate of chosen) {
  const value = await gate.measure()
  const ok = holds(gate.bound, value)
  if (!ok) failed++
  if (values.json === true)
    console.log(JSON.stringify({ gate: gate.name, value, bound: gate.bound, unit: gate.unit, ok }))
  else
    console.log(
      `${ok ? "pass" : "FAIL"}  ${gate.name}: ${Number(value.toPrecision(4))} ${gate.unit} (${boundText(gate.bound)})`,
    )
}
process.exit(failed === 0 ? 0 : 1)
