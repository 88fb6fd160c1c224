#!/usr/bin/env node
/**
 * `npm run demo`: the main job, from one end to the other. A server in a process of its own, this program as its client over
 * a WebSocket, real programs in real containers. Exits 0 only when every task ended as expected and nothing is left.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type BerthClient, connect } from "../client/index.ts"
import { type FoundEngine, findDocker } from "../provision/engine.ts"
import { imagesPresent } from "../provision/images.ts"
import { containersOf, processesOf, removeContainers } from "./leftovers.ts"
import { playLanes } from "./lanes.ts"
import { notPlayed, play } from "./play.ts"
import { ENDINGS, LIVE } from "./scenarios.ts"
import { Screen } from "./screen.ts"
import { type DemoServer, startServer } from "./serverProcess.ts"
import { printSummary, type Row } from "./summary.ts"

const SLOTS = 4
const RUNTIMES = ["python", "bash", "perl", "node"]

const screen = new Screen(process.stdout)

/** The engine whose containers are used, or null and the one line that says why there is none. */
async function chooseEngine(): Promise<FoundEngine | null> {
  const engine = await findDocker()
  if (engine !== null && (await imagesPresent(engine, RUNTIMES))) return engine
  const why = engine === null ? "No container engine answers" : `The engine has no images for ${RUNTIMES.join(", ")}`
  screen.line(`${why}: the programs run as plain processes (executor "process"), which isolates nothing.`)
  return null
}

async function playAll(client: BerthClient, engine: FoundEngine | null): Promise<readonly Row[]> {
  screen.heading("Output, as the program prints it")
  const live = await play(LIVE, client, screen)
  screen.heading("Endings, side by side")
  const endings = ENDINGS.map((scenario) =>
    scenario.needsContainers === true && engine === null
      ? Promise.resolve(notPlayed(scenario))
      : play(scenario, client, screen),
  )
  const ended = await Promise.all(endings)
  screen.heading("Lanes")
  return [live, ...ended, ...(await playLanes(client, screen, SLOTS))]
}

/** Stops the server, and looks with other eyes than its own for what is left. */
async function stopAndLook(
  server: DemoServer,
  engine: FoundEngine | null,
  clusterId: string,
  dataDir: string,
): Promise<Row> {
  const stoppedWell = await server.stop()
  const containers = engine === null ? [] : await containersOf(engine, clusterId)
  const processes = processesOf(dataDir)
  const faults = [
    ...(stoppedWell ? [] : ["the server did not stop by itself"]),
    ...(containers.length === 0 ? [] : [`${containers.length} containers are left`]),
    ...((processes ?? []).length === 0 ? [] : [`processes are left: ${processes?.join(", ")}`]),
  ]
  if (engine !== null) await removeContainers(engine, containers)
  const asked =
    engine === null ? "no engine to ask" : `containers of this cluster, asked of the engine: ${containers.length}`
  screen.line(`left behind: ${asked}; processes: ${processes === null ? "no /proc to look in" : processes.length}`)
  return { task: "leftovers", shows: "nothing is left behind", outcome: null, faults }
}

async function interruption(): Promise<never> {
  await new Promise<void>((resolve) => {
    process.once("SIGINT", resolve)
    process.once("SIGTERM", resolve)
  })
  throw new Error("broken off; stopping what runs")
}

/** Kills what still runs, so that a demo that was broken off leaves nothing either. */
async function killAll(client: BerthClient): Promise<void> {
  for await (const task of client.list({ statuses: ["pending", "running"] })) await client.kill(task.id)
  for await (const task of client.list({ statuses: ["pending", "running"] })) await client.task(task.id).result()
}

async function demonstrate(dataDir: string): Promise<boolean> {
  const engine = await chooseEngine()
  const server = await startServer({
    dataDir,
    executor: engine === null ? "process" : "docker",
    engine: engine?.host ?? null,
    slots: SLOTS,
  })
  const client = await connect(server.url, { token: server.token })
  const { clusterId, durability } = await client.system()
  const where = engine === null ? "plain processes" : `containers of Docker ${engine.version}`
  screen.line(
    `server: process ${server.pid} at ${server.url}, ${SLOTS} slots, ${where}, an accepted task is ${durability}`,
  )
  let rows: readonly Row[] = []
  let leftovers: Row
  try {
    rows = await Promise.race([playAll(client, engine), interruption()])
  } finally {
    if (rows.length === 0) await killAll(client).catch(() => {})
    await client.close()
    screen.heading("Result")
    leftovers = await stopAndLook(server, engine, clusterId, dataDir)
  }
  screen.line()
  return printSummary(screen, [...rows, leftovers])
}

const beganMs = performance.now()
const dataDir = await mkdtemp(join(tmpdir(), "berth-demo-"))
try {
  const isWell = await demonstrate(dataDir)
  const seconds = ((performance.now() - beganMs) / 1_000).toFixed(1)
  screen.line()
  screen.line(
    isWell
      ? screen.paint("good", `all as expected, in ${seconds} s`)
      : screen.paint("bad", `not all as expected, in ${seconds} s`),
  )
  process.exitCode = isWell ? 0 : 1
} catch (cause) {
  process.stderr.write(`demo: ${cause instanceof Error ? cause.message : String(cause)}\n`)
  process.exitCode = 1
} finally {
  await rm(dataDir, { recursive: true, force: true })
}
