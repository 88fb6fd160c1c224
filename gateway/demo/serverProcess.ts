import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { DemoServerOptions, DemoServerReady } from "./server.ts"

/** A server in a process of its own. */
export interface DemoServer extends DemoServerReady {
  readonly pid: number
  /** Asks it to stop and waits; kills it when it does not. True when it stopped well by itself. */
  readonly stop: () => Promise<boolean>
}

const START_MS = 60_000
const STOP_MS = 20_000
const STDERR_CHARS = 4_000

/** The compiled file beside this one, or the source when this runs from source. */
const FILE = fileURLToPath(new URL(`./server${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url))

/** Starts the server and waits until it listens; rejects with what it wrote when it does not. */
export async function startServer(options: DemoServerOptions): Promise<DemoServer> {
  const child = fork(FILE, [JSON.stringify(options)], { stdio: ["ignore", "ignore", "pipe", "ipc"] })
  let stderr = ""
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-STDERR_CHARS)
  })
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve))
  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS)
  try {
    const ready = await Promise.race([
      new Promise<DemoServerReady>((resolve) =>
        child.once("message", (message) => resolve(message as DemoServerReady)),
      ),
      exited.then((code) => {
        throw new Error(`the server ended with ${code ?? "a signal"} before it listened\n${stderr}`)
      }),
    ])
    return { ...ready, pid: child.pid ?? 0, stop: () => stopServer(child, exited) }
  } finally {
    clearTimeout(timer)
  }
}

async function stopServer(child: ChildProcess, exited: Promise<number | null>): Promise<boolean> {
  if (child.connected) child.disconnect()
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS)
  try {
    return (await exited) === 0
  } finally {
    clearTimeout(timer)
  }
}
