/** The short form of `npm run chaos`: a cluster on one broker, then one on three, of which one is killed at a time; then its rolling form. */
import { join } from "node:path"
import { expect, it } from "vitest"
import { runCommand } from "../../gateway/provision/command.ts"
import { chaos, type ChaosReport } from "../chaos/chaos.ts"
import { describeWithNats, engineIfAny } from "../support/require.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"
import { ROOT } from "../support/sourceTree.ts"

/** 20 kills and 2,000 tasks. Containers cost most, and do not ask how many brokers there are. */
const ROUNDS = [
  { brokers: 1, kills: 14, tasks: 1_600, hasContainers: true },
  { brokers: 3, kills: 6, tasks: 400, hasContainers: false },
] as const

/** What both forms have in common. */
const usual = () => {
  const random = seeded(chosenSeed())
  const note = (text: string): void => void process.stdout.write(`chaos drill, seed ${random.seed}: ${text}\n`)
  return { random, note, lanes: 128, pauseMsMax: 2_000, downMsMax: 1_000 }
}
const engineOf = (note: (text: string) => void) => {
  const engine = engineIfAny()
  if (engine === null) note("no engine answers: no containers")
  return engine
}
const killsOf = ({ kills }: ChaosReport): number => Object.values(kills).reduce((sum, count) => sum + count, 0)

describeWithNats("kill -9 of everything that a cluster is made of", "newest", (server) => {
  it.each(ROUNDS)(
    "I1 I2 I6 I7 I9 with $brokers broker(s), is each of $tasks tasks ended once, whatever dies in $kills kills?",
    async ({ brokers, hasContainers, kills, tasks }) => {
      const plan = usual()
      const engine = hasContainers ? engineOf(plan.note) : null
      const report = await chaos(server, {
        ...plan,
        tasks,
        kills,
        brokers,
        engine,
        containerEvery: 25,
        signal: "SIGKILL",
      })
      plan.note(JSON.stringify(report))
      expect(report).toMatchObject({ violations: [], lost: 0, slotsHeld: 0 })
      expect(report.ends).toBe(report.attempts)
      expect(killsOf(report)).toBe(kills)
      expect(report.acknowledged).toBeGreaterThanOrEqual(tasks)
      if (engine !== null) expect(report.told.engine.startsSeen).toBeGreaterThanOrEqual(report.told.engine.tasks)
    },
  )
})

describeWithNats("a restart of everything, one node and one broker after another, under load", "newest", (server) => {
  it("I1 I2 does every program, in a container or not, begin once and complete?", async () => {
    const plan = usual()
    const engine = engineOf(plan.note)
    const report = await chaos(server, {
      ...plan,
      tasks: 150,
      kills: engine === null ? 9 : 11,
      brokers: 3,
      engine,
      containerEvery: 4,
      signal: "SIGTERM",
    })
    plan.note(JSON.stringify(report))
    expect(report).toMatchObject({ violations: [], lost: 0, slotsHeld: 0, attempts: report.acknowledged })
    expect(report.byStatus).toEqual({ completed: report.acknowledged })
    // Six nodes, two more with containers, three brokers: each once.
    expect(Object.values(report.kills)).toEqual(Array(engine === null ? 9 : 11).fill(1))
    for (const { beginsSeen, tasks } of Object.values(report.told)) expect(beginsSeen).toBe(tasks)
    if (engine !== null) expect(report.told.engine.tasks).toBeGreaterThan(0)
  })
})

it("is a required engine that does not answer a failure of `npm run chaos`, before anything is killed?", async () => {
  const argv = [process.execPath, join(ROOT, "node_modules/tsx/dist/cli.mjs"), "test/chaos/main.ts"] as const
  const env = { DOCKER_HOST: "unix:///nowhere/docker.sock", BERTH_REQUIRE: "docker" }
  const few = ["--kills", "0", "--tasks", "1", "--brokers", "1"]
  const { code, stderr } = await runCommand([...argv, ...few], { timeoutMs: 120_000, cwd: ROOT, env })
  expect(stderr).toContain("BERTH_REQUIRE names docker, but no engine answers")
  expect(code).toBe(1)
})
