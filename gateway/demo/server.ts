/**
 * The demo's server: a process of its own, as `berth serve` would be. It says where it listens through the channel that
 * its parent opened, and stops when that channel closes, so that it never outlives the demo.
 */
import { Berth, type ExecutorName } from "../main/index.ts"

/** What the parent gives, as one JSON argument. */
export interface DemoServerOptions {
  readonly dataDir: string
  readonly executor: ExecutorName
  /** As `DOCKER_HOST` names it; null without an engine. */
  readonly engine: string | null
  readonly slots: number
}

/** What it answers once, when it is ready. */
export interface DemoServerReady {
  readonly url: string
  readonly token: string
}

const OWNER = "demo"

const options = JSON.parse(process.argv[2] ?? "{}") as DemoServerOptions
// Ctrl-C reaches the whole group of processes; the parent decides what is done about it.
process.on("SIGINT", () => {})
const parentLeft = new Promise<void>((resolve) => process.once("disconnect", resolve))

const berth = await Berth.open({
  dataDir: options.dataDir,
  executor: options.executor,
  slots: options.slots,
  // Nothing is admitted ahead of a free slot, so that the order of the lanes is exact.
  config: { lookahead: 0 },
  owner: OWNER,
  listen: { port: 0 },
  ...(options.engine === null ? {} : { engine: options.engine }),
})
const ready: DemoServerReady = { url: berth.url ?? "", token: await berth.token() }
process.send?.(ready)
await parentLeft
await berth.close()
