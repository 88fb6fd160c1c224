import { Effect } from "effect"
import { dockerExecutor } from "../actors/executor/docker/index.ts"
import { makeBackend } from "../actors/executor/stack/backend.ts"
import { makeRetryBudget } from "../actors/executor/stack/retryBudget.ts"
import type { ExecutorShape } from "../core/ports/executor.ts"
import { findDocker } from "../gateway/provision/engine.ts"
import { liveClock, seededRandom } from "../test/support/clock.ts"
import { jobOf, recordingSink } from "../test/support/executorJob.ts"
import { noSecrets } from "../test/support/secrets.ts"
import { median } from "./gates/gate.ts"
import { type Report, rounded, type Scenario } from "./scenario.ts"

const WIDTHS = [1, 2, 3, 4, 8, 32]
const TASKS = 24
const ROUNDS = 3

const executorOf = (engine: string, width: number): ExecutorShape => {
  const backend = makeBackend("docker", {
    clock: liveClock,
    random: seededRandom(1),
    budget: makeRetryBudget(liveClock),
    startWidth: width,
  })
  return dockerExecutor({
    engine,
    cluster: "bench-start-width",
    worker: "bench",
    pool: "bench",
    markerKey: "bench",
    leaseUids: () => Effect.succeed(0),
    guard: backend.guard,
    pullGuard: backend.guard,
    accepting: backend.accepting,
    clock: liveClock,
    pull: false,
    secrets: noSecrets,
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
/** One container's life, from wanted to removed. */
const life = (executor: ExecutorShape, slot: number) =>
  Effect.suspend(() => {
    const job = { ...jobOf(program, `width-${process.pid}-${made++}`), slot }
    return Effect.flatMap(executor.create(job), (place) =>
      Effect.ensuring(executor.run(job, place, recordingSink()), Effect.ignore(executor.remove(job, place))),
    )
  })

/** Containers a second. */
const round = async (engine: string, width: number): Promise<number> => {
  const executor = executorOf(engine, width)
  const beganMs = performance.now()
  const lives = Array.from({ length: TASKS }, (_, slot) => life(executor, slot))
  await Effect.runPromise(Effect.all(lives, { concurrency: "unbounded" }))
  return (TASKS / (performance.now() - beganMs)) * 1_000
}

const measure = async (): Promise<Report> => {
  const docker = await findDocker()
  if (docker === null) return { missing: "no engine answers; see npm run provision" }
  await round(docker.host, 2)
  const found = WIDTHS.map((width) => ({ width, perSecond: [] as number[] }))
  // The widths take turns, so that other load on the machine meets all alike.
  for (let index = 0; index < ROUNDS; index++) {
    for (const { width, perSecond } of found) perSecond.push(await round(docker.host, width))
  }
  return Object.fromEntries(found.map(({ width, perSecond }) => [`width${width}PerSecond`, rounded(median(perSecond))]))
}

/** How many containers should start at once? START_WIDTH in actors/executor/stack is what this shows to be best. */
export const startWidth: Scenario = {
  name: "startWidth",
  help: `${TASKS} containers that do nothing, wanted at once, started so many at a time`,
  measure,
}
