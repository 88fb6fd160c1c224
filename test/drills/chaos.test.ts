/** The short form of `npm run chaos`: a cluster on one broker, then one on three, of which one is killed at a time. */
import { expect, it } from "vitest"
import { chaos } from "../chaos/chaos.ts"
import { describeWithNats, engineIfAny } from "../support/require.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"

/** 20 kills and 2,000 tasks. Containers cost most, and do not ask how many brokers there are. */
const ROUNDS = [
  { brokers: 1, kills: 14, tasks: 1_600, hasContainers: true },
  { brokers: 3, kills: 6, tasks: 400, hasContainers: false },
] as const

describeWithNats("kill -9 of everything that a cluster is made of", "newest", (server) => {
  it.each(ROUNDS)(
    "I1 I2 I6 I7 I9 with $brokers broker(s), is each of $tasks tasks ended once, whatever dies in $kills kills?",
    async ({ brokers, hasContainers, kills, tasks }) => {
      const random = seeded(chosenSeed())
      const note = (text: string): void => void process.stdout.write(`chaos drill, seed ${random.seed}: ${text}\n`)
      const engine = hasContainers ? engineIfAny() : null
      if (hasContainers && engine === null) note("no engine answers: programs and handlers alone, no containers")
      const report = await chaos(server, {
        random,
        tasks,
        kills,
        brokers,
        engine,
        containerEvery: 25,
        lanes: 128,
        pauseMsMax: 2_000,
        downMsMax: 1_000,
        signal: "SIGKILL",
        note,
      })
      note(JSON.stringify(report))
      expect(report).toMatchObject({ violations: [], lost: 0, slotsHeld: 0 })
      expect(report.ends).toBe(report.attempts)
      expect(Object.values(report.kills).reduce((sum, count) => sum + count, 0)).toBe(kills)
      expect(report.acknowledged).toBeGreaterThanOrEqual(tasks)
      if (engine !== null) expect(report.told.engine.startsSeen).toBeGreaterThanOrEqual(report.told.engine.tasks)
    },
  )
})
