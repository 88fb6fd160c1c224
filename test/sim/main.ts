/** `--seeds N --from S --minutes M --nodes 3 [--replay] [--each]`: runs simulations one after another, and ends with 1 at the first bad one. */
import { BAD_SEEDS } from "./seeds.ts"
import { type Outcome, Simulation } from "./simulation.ts"

const say = (line: string): void => void process.stdout.write(`${line}\n`)

const argument = (name: string, otherwise: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? otherwise : Number(process.argv[at + 1])
}

const report = ({ faults, hash, recent, seed, steps, tasks, violations }: Outcome): string =>
  [
    `seed ${seed} is bad after ${steps} steps and ${tasks} tasks (${hash.slice(0, 12)}), faults ${JSON.stringify(faults)}`,
    ...violations.map((violation) => `  ${violation}`),
    ...recent.map((line) => `    ${line}`),
  ].join("\n")

const main = async (): Promise<void> => {
  const first = argument("from", 1)
  const nodes = argument("nodes", 1)
  const seeds = argument("seeds", Number.MAX_SAFE_INTEGER - first)
  const minutes = argument("minutes", seeds === Number.MAX_SAFE_INTEGER - first ? 1 : 1_000_000)
  const beganMs = Date.now()
  const untilMs = beganMs + minutes * 60_000
  let steps = 0
  let runs = 0
  let bad = 0
  const past = process.argv.includes("--from") ? [] : BAD_SEEDS
  for (let index = 0; index < past.length + seeds && Date.now() < untilMs && bad === 0; index += 1) {
    const seed = past[index] ?? first + index - past.length
    const outcome = await new Simulation(seed, nodes).run()
    if (process.argv.includes("--replay")) {
      const again = await new Simulation(seed, nodes).run()
      if (again.hash !== outcome.hash) {
        bad += 1
        say(`seed ${seed} is not deterministic: ${outcome.hash} and ${again.hash}`)
      }
    }
    runs += 1
    steps += outcome.steps
    if (process.argv.includes("--each"))
      say(
        `${seed} ${outcome.steps} ${outcome.tasks} ${outcome.lives} ${outcome.hash.slice(0, 12)} ${JSON.stringify(outcome.faults)}`,
      )
    if (outcome.violations.length === 0) continue
    bad += 1
    say(report(outcome))
  }
  const seconds = (Date.now() - beganMs) / 1_000
  say(`${runs} seeds, ${steps} steps, ${seconds.toFixed(1)} s, ${Math.round((steps / seconds) * 60)} steps a minute`)
  process.exitCode = bad === 0 ? 0 : 1
}

await main()
