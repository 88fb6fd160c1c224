/**
 * How many containers should start at once? Programs that do nothing, from create to removed, all wanted at the same moment,
 * through the Docker executor and its layers. The widths take turns, and the median of the rounds is shown.
 *
 *   npx tsx bench/startWidth.ts [--json] [--engine unix:///var/run/docker.sock] [--tasks 24] [--rounds 3]
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { dockerExecutor } from "../actors/executor/docker/index.ts"
import { makeBackend } from "../actors/executor/stack/backend.ts"
import { makeRetryBudget } from "../actors/executor/stack/retryBudget.ts"
import type { ExecutorShape } from "../core/ports/executor.ts"
import { liveClock, seededRandom } from "../test/support/clock.ts"
import { jobOf, recordingSink } from "../test/support/executorJob.ts"
import { median, quantile } from "./gates/gate.ts"

const WIDTHS = [1, 2, 3, 4, 8, 32]

const { values } = parseArgs({
  options: {
    json: { type: "boolean" },
    engine: { type: "string", default: "unix:///var/run/docker.sock" },
    tasks: { type: "string", default: "24" },
    rounds: { type: "string", default: "3" },
  },
})
const tasks = Number(values.tasks)

const executorOf = (width: number): ExecutorShape => {
  const backend = makeBackend("docker", {
    clock: liveClock,
    random: seededRandom(1),
    budget: makeRetryBudget(liveClock),
    startWidth: width,
  })
  return dockerExecutor({
    engine: values.engine,
    cluster: "bench-start-width",
    worker: "bench",
    pool: "bench",
    markerKey: "bench",
    uidBlock: 0,
    guard: backend.guard,
    pullGuard: backend.guard,
    accepting: backend.accepting,
    clock: liveClock,
    pull: false,
  })
}

const program = {
  kind: "runtime",
  runtime: "bash",
  entry: "main.sh",
  args: [],
  env: {},
  stdin: null,
  secrets: [],
  files: [{ path: "main.sh", content: ":", encoding: "utf8", executable: false }],
} as const

let made = 0
/** One container's life; the time until its program began, seen from the moment that it was wanted. */
const life = (executor: ExecutorShape, slot: number) =>
  Effect.suspend(() => {
    const job = { ...jobOf(program, `width-${process.pid}-${made++}`), slot }
    const wantedMs = performance.now()
    let beganMs = 0
    const sink = { ...recordingSink(), began: Effect.sync(() => void (beganMs = performance.now() - wantedMs)) }
    return Effect.flatMap(executor.create(job), (place) =>
      Effect.ensuring(executor.run(job, place, sink), Effect.ignore(executor.remove(job, place))),
    ).pipe(Effect.map(() => beganMs))
  })

const round = async (width: number): Promise<{ readonly perSecond: number; readonly beganP50Ms: number }> => {
  const executor = executorOf(width)
  const beganMs = performance.now()
  const lives = Array.from({ length: tasks }, (_, slot) => life(executor, slot))
  const begins = await Effect.runPromise(Effect.all(lives, { concurrency: "unbounded" }))
  return { perSecond: (tasks / (performance.now() - beganMs)) * 1_000, beganP50Ms: quantile(begins, 0.5) }
}

await round(2)
const rounds = new Map(WIDTHS.map((width) => [width, [] as Awaited<ReturnType<typeof round>>[]]))
for (let index = 0; index < Number(values.rounds); index++) {
  for (const width of WIDTHS) rounds.get(width)?.push(await round(width))
}
for (const [width, found] of rounds) {
  const perSecond = Number(median(found.map((one) => one.perSecond)).toFixed(2))
  const beganP50Ms = Math.round(median(found.map((one) => one.beganP50Ms)))
  if (values.json === true) console.log(JSON.stringify({ width, perSecond, beganP50Ms, tasks }))
  else console.log(`width ${width}: ${perSecond} containers/s, half had begun after ${beganP50Ms} ms`)
}
process.exit(0)
