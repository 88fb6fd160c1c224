import { mkdtempSync, rmSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, it } from "vitest"
import { Berth } from "../../gateway/main/index.ts"
import { seededRandom } from "../support/clock.ts"
import { containersOf, removeContainersOf } from "../support/engineWitness.ts"
import { describeWithDocker } from "../support/require.ts"

/** Rows of the hostile suite that take long: hundreds of containers, and millions of lines. */

const CODES = 256
const QUICK = 200
const LINES = 10_000_000
/** A shell cannot tell these from an exit with 128 and the signal's number. */
const SHELL_BLIND = [128 + constants.signals.SIGINT, 128 + constants.signals.SIGPIPE]
/** They stop or continue a program, or are ignored unless it asks for them. */
const NOT_ENDING = ["SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"]

describeWithDocker("hundreds of containers, millions of lines", (engine) => {
  let folder = ""
  let berth: Berth | null = null
  let clusterId = ""
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "berth-drill-hostile-"))
    berth = await Berth.open({ dataDir: folder, engine: engine.host, slots: 6 })
    clusterId = (await berth.client.system()).clusterId
  })
  afterAll(async () => {
    await berth?.close()
    await removeContainersOf(engine, clusterId)
    rmSync(folder, { recursive: true, force: true })
  })

  it("are exit codes from 0 to 255 told as themselves, and every signal by its name?", async () => {
    // Where shells and engines give codes a meaning of their own, each; elsewhere one of four.
    const codes = Array.from({ length: CODES }, (_, code) => code)
      .filter((code) => code < 4 || (code >= 124 && code < 160) || code > 252 || code % 4 === 0)
      .filter((code) => !SHELL_BLIND.includes(code))
    const exits = codes.map(async (code) => {
      const { exitCode, signal, status } = await berth!.run({ runtime: "bash", code: `exit ${code}` })
      return exitCode === code && signal === null && status === (code === 0 ? "completed" : "failed") ? [] : [code]
    })
    // One number may have two names, as SIGIO and SIGPOLL have: the first one is told.
    const numbers = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))
    const ending = [...numbers].filter(([, name]) => !NOT_ENDING.includes(name))
    const signals = ending.map(async ([number, name]) => {
      const code = `import os, signal\nsignal.signal(${number}, signal.SIG_DFL) if ${number} != 9 else 0\nos.kill(os.getpid(), ${number})\nimport time; time.sleep(5)`
      const seen = await berth!.run({ runtime: "python", code })
      const isRight = seen.signal !== null && constants.signals[seen.signal as NodeJS.Signals] === number
      return isRight && seen.reason === "signal" ? [] : [`${name}: ${seen.status} ${seen.reason} ${seen.signal}`]
    })
    expect((await Promise.all([...exits, ...signals])).flat()).toEqual([])
  })

  it("do ten million tiny lines end in good order, counted to the byte?", async () => {
    const outcome = await berth!.run({ runtime: "bash", code: `yes | head -n ${LINES}`, timeoutMs: 300_000 })
    expect(outcome).toMatchObject({ status: "completed", exitCode: 0 })
    expect(outcome.task.result?.stdout).toMatchObject({
      totalBytes: 2 * LINES,
      headBytes: 1_048_576,
      tailBytes: 65_536,
    })
    expect(/^(y\n)+$/.test(outcome.stdout.slice(0, 100_000))).toBe(true)
  })

  it("do 200 quick programs, cancelled and killed at random moments, each end once, and is nothing left?", async () => {
    const { next01 } = seededRandom(5)
    const lives = Array.from({ length: QUICK }, async (_, index) => {
      const handle = await berth!.submit({ runtime: "bash", code: `exit ${index % 3}`, graceMs: 200 })
      const moment = next01()
      if (moment < 0.66) {
        await sleep(next01() * 20_000)
        await (moment < 0.33 ? handle.cancel() : handle.kill()).catch(() => undefined)
      }
      const ended = await handle.result()
      let ends = 0
      for await (const event of handle.events()) if (event.type === "end") ends += 1
      const isOwn = ended.exitCode === index % 3 && (ended.status === "completed" || ended.status === "failed")
      const isStopped = ended.status === "cancelled" && (ended.reason === "cancelled" || ended.reason === "killed")
      return ends === 1 && ended.attempt === 1 && (isOwn || isStopped)
        ? ended.status
        : `${index}: ${ended.status} ${ended.reason}, ${ends} ends`
    })
    const statuses = new Set(await Promise.all(lives))
    expect([...statuses].filter((status) => !["completed", "failed", "cancelled"].includes(status))).toEqual([])
    expect(statuses).toContain("cancelled")
    expect(statuses).toContain("completed")
    const untilMs = Date.now() + 5_000
    while ((await containersOf(engine, clusterId)).length > 0 && Date.now() < untilMs) await sleep(50)
    expect(await containersOf(engine, clusterId)).toEqual([])
    const { slotDrift } = await berth!.client.system()
    expect([slotDrift, (await berth!.client.queue()).slotsHeld]).toEqual([0, 0])
  })
})
