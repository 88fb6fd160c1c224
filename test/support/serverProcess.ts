/** The shipped server as a process of its own, which a drill starts, kills and starts again. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import type { BerthClient } from "../../gateway/client/index.ts"
import { connect } from "../../gateway/client/index.ts"

export const SERVER_MAIN = join(import.meta.dirname, "../../dist/gateway/main/berth.js")
/** Longer than any start takes; a drill that waits longer has found a hang. */
const READY_MS = 60_000
const STDERR_CHARS_MAX = 400_000

/** The one line that `serve --json` prints. */
export interface Ready {
  readonly url: string
  readonly token: string
  readonly pid: number
  readonly dataDir: string
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ServerProcess {
  readonly pid: number
  /** Null when the process ended before it was ready. */
  readonly ready: Promise<Ready | null>
  readonly ended: Promise<Ended>
  readonly isAlive: () => boolean
  /** Sends a signal and waits until the process is gone. */
  readonly end: (signal: NodeJS.Signals) => Promise<Ended>
  readonly signal: (signal: NodeJS.Signals) => void
  /** What it wrote to stderr: its log. */
  readonly log: () => string
}

export interface ServerChoice {
  /** The program's main file. Default: the shipped build's. */
  readonly main?: string
  readonly dataDir: string
  /** Default 0: any free one. */
  readonly port?: number
  readonly slots?: number
  /** As `DOCKER_HOST` names it. Default: the engine that the server finds by itself. */
  readonly engine?: string
  readonly executor?: "docker" | "process"
  readonly env?: Readonly<Record<string, string>>
  /** Further words of the command line. */
  readonly flags?: readonly string[]
}

const parse = (line: string): Ready | null => {
  try {
    return JSON.parse(line) as Ready
  } catch {
    return null
  }
}

/** Starts a server and returns at once. */
export function launchServer(choice: ServerChoice): ServerProcess {
  const {
    dataDir,
    engine,
    env = {},
    executor = "docker",
    flags: more = [],
    main = SERVER_MAIN,
    port = 0,
    slots = 8,
  } = choice
  const flags = ["--data", dataDir, "--port", String(port), "--slots", String(slots), "--executor", executor, ...more]
  const child = spawn(process.execPath, [main, "serve", "--json", ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, BERTH_LOG: "info", ...(engine === undefined ? {} : { DOCKER_HOST: engine }), ...env },
  })
  let log = ""
  child.stderr.on("data", (bytes: Buffer) => {
    log = (log + bytes.toString()).slice(-STDERR_CHARS_MAX)
  })
  let isOver = false
  const ended = new Promise<Ended>((resolve) => {
    child.once("exit", (code, signal) => {
      isOver = true
      resolve({ code, signal })
    })
  })
  const ready = new Promise<Ready | null>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the server is not ready after ${READY_MS} ms:\n${log}`)), READY_MS)
    const settle = (said: Ready | null) => {
      clearTimeout(timer)
      resolve(said)
    }
    let text = ""
    child.stdout.on("data", (bytes: Buffer) => {
      text += bytes.toString()
      const end = text.indexOf("\n")
      if (end >= 0) settle(parse(text.slice(0, end)))
    })
    void ended.then(() => settle(null))
  })
  return {
    pid: child.pid ?? 0,
    ready,
    ended,
    isAlive: () => !isOver,
    signal: (signal) => void child.kill(signal),
    end: (signal) => {
      child.kill(signal)
      return ended
    },
    log: () => log,
  }
}

/** What it said so far in a line of its log, each time that it said it. */
export const said = (
  { log }: Pick<ServerProcess, "log">,
  message: string,
): readonly Readonly<Record<string, unknown>>[] =>
  log()
    .split("\n")
    .filter((line) => line.startsWith("{") && line.endsWith("}"))
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
    .filter(({ msg }) => msg === message)

/** Starts a server and waits until it is ready; fails with its log when it ends instead. */
export async function startServer(choice: ServerChoice): Promise<ServerProcess & { readonly at: Ready }> {
  const server = launchServer(choice)
  const at = await server.ready
  if (at === null) throw new Error(`the server ended before it was ready:\n${server.log()}`)
  return { ...server, at }
}

/** A client that outlives its server: it connects again to whoever listens there next. */
export const clientOf = ({ token, url }: Ready): Promise<BerthClient> =>
  connect(url, { token, deadlineMs: 120_000, outageMs: 120_000, waitForServerMs: 30_000 })
