/**
 * `npm run chaos [-- --tasks N --kills N --seed N --brokers 1|3 --rolling]`: the long form of the chaos drill, half of it on one
 * broker and half of it on three unless one is chosen. Prints a report as JSON, exits 1 on any violation. `--rolling` restarts
 * by SIGTERM instead, one node after another and each of three brokers, with programs alone, as processes and in containers, and
 * then each must have begun exactly once.
 * Without an engine there are no containers in it, unless BERTH_REQUIRE names docker: then that is a failure.
 */
import { parseArgs } from "node:util"
import { findDocker } from "../../gateway/provision/engine.ts"
import { findNats } from "../../gateway/provision/nats.ts"
import { required } from "../../gateway/provision/request.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"
import { chaos, type ChaosReport } from "./chaos.ts"

const { values } = parseArgs({
  options: {
    tasks: { type: "string", default: "50000" },
    kills: { type: "string", default: "500" },
    seed: { type: "string", default: String(chosenSeed()) },
    brokers: { type: "string", default: "1,3" },
    rolling: { type: "boolean", default: false },
  },
})
const note = (text: string): void => void process.stderr.write(`${text}\n`)
const engine = await findDocker()
if (engine === null && required().includes("docker"))
  throw new Error("BERTH_REQUIRE names docker, but no engine answers; see npm run provision")
if (engine === null) note("no engine answers: no containers")
const [server] = await findNats()
if (server === undefined) throw new Error("no nats-server was found: npm run provision -- nats")
const parts = values.brokers.split(",").map((count): 1 | 3 => {
  if (count !== "1" && count !== "3") throw new Error(`there can be 1 broker or 3, not ${count}`)
  return count === "3" ? 3 : 1
})

/** The share of the part of this number: what does not divide goes to the first. */
const share = (whole: string, part: number): number => {
  const each = Math.floor(Number(whole) / parts.length)
  return part === 0 ? Number(whole) - each * (parts.length - 1) : each
}
const rounds: ChaosReport[] = []
for (const [part, brokers] of parts.entries()) {
  const say = (text: string): void => note(`seed ${Number(values.seed) + part}, brokers ${brokers}: ${text}`)
  const round = await chaos(server, {
    random: seeded(Number(values.seed) + part),
    tasks: share(values.tasks, part),
    kills: share(values.kills, part),
    brokers,
    engine,
    containerEvery: values.rolling ? 5 : 20,
    lanes: 128,
    pauseMsMax: 2_000,
    downMsMax: 1_000,
    signal: values.rolling ? "SIGTERM" : "SIGKILL",
    note: say,
  })
  rounds.push(round)
  // Told at once: whoever ends the run before its last part knows how this one went.
  say(JSON.stringify(round))
}
const sum = (of: (round: ChaosReport) => number): number => rounds.reduce((total, round) => total + of(round), 0)
const violations = sum((round) => round.violations.length)
const report = {
  server: server.version,
  engine: engine?.version ?? null,
  kills: sum(({ kills }) => Object.values(kills).reduce((total, count) => total + count, 0)),
  acknowledged: sum((round) => round.acknowledged),
  lost: sum((round) => round.lost),
  violations,
  rounds,
}
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
const isWell = violations === 0 && rounds.every(({ slotsHeld }) => slotsHeld === 0)
process.exitCode = isWell && report.kills >= Number(values.kills) ? 0 : 1
