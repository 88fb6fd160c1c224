/**
 * `npm run chaos [-- --tasks N --kills N --seed N --rolling]`: the long form of the chaos drill; prints a report as JSON, exits
 * 1 on any violation. `--rolling` restarts nodes by SIGTERM instead, and then every program must have been started exactly once.
 */
import { parseArgs } from "node:util"
import { findNats } from "../../gateway/provision/nats.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"
import { chaos } from "./chaos.ts"

const { values } = parseArgs({
  options: {
    tasks: { type: "string" },
    kills: { type: "string" },
    seed: { type: "string" },
    rolling: { type: "boolean" },
  },
})
const [server] = await findNats()
if (server === undefined) throw new Error("no nats-server was found: npm run provision -- nats")
const report = await chaos(server, {
  random: seeded(Number(values.seed ?? chosenSeed())),
  tasks: Number(values.tasks ?? 50_000),
  kills: Number(values.kills ?? 500),
  lanes: 64,
  pauseMsMax: 3_000,
  downMsMax: 1_500,
  signal: values.rolling === true ? "SIGTERM" : "SIGKILL",
  note: (text) => void process.stderr.write(`${text}\n`),
})
process.stdout.write(`${JSON.stringify({ ...report, server: server.version }, null, 2)}\n`)
const isRolledWell = values.rolling !== true || report.starts === report.acknowledged
process.exitCode = report.violations.length === 0 && report.slotsHeld === 0 && isRolledWell ? 0 : 1
