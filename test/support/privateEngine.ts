/** An engine of its own, which a drill may kill: socket, data and containerd apart from the machine's, no network set-up. */
import { readFileSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"
import { callEngine, type EngineAddress } from "../../gateway/provision/engineClient.ts"
import { type FoundEngine, startDaemon } from "../../gateway/provision/engine.ts"
import { runCommand } from "../../gateway/provision/command.ts"

export interface PrivateEngine {
  readonly engine: FoundEngine
  readonly pid: () => number
  readonly signal: (signal: NodeJS.Signals) => void
  /** `kill -9`; resolves when it is gone. */
  readonly kill: () => Promise<void>
  readonly start: () => Promise<void>
  /** Ends it in good order, with all that runs in it. */
  readonly close: () => Promise<void>
}

const GONE_LOOK_MS = 50

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    // One that has ended and was not yet waited for is gone, too.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

const gone = async (pid: number): Promise<void> => {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, GONE_LOOK_MS))
}

/**
 * @param keepsContainers - whether containers go on while the engine is away (`live-restore`)
 * @param more - further flags of `dockerd`
 */
export async function startPrivateEngine(
  folder: string,
  keepsContainers: boolean,
  more: readonly string[] = [],
): Promise<PrivateEngine> {
  const host = `unix://${folder}/docker.sock`
  const logFile = join(folder, "dockerd.log")
  const flags = [
    `--host=${host}`,
    `--data-root=${folder}/data`,
    `--exec-root=${folder}/exec`,
    `--pidfile=${folder}/docker.pid`,
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    ...(keepsContainers ? ["--live-restore"] : []),
    ...more,
  ]
  let pid = 0
  const start = async (): Promise<FoundEngine> => {
    const engine = await startDaemon({ flags, host, logFile, pidFile: join(folder, "pid") })
    if (engine === null) throw new Error(`the engine does not start:\n${readFileSync(logFile, "utf8").slice(-4_000)}`)
    pid = Number(readFileSync(join(folder, "pid"), "utf8"))
    return engine
  }
  /** Its containerd goes with it, a little later. */
  const containerdGone = (): Promise<void> =>
    gone(Number(readFileSync(join(folder, "exec/containerd/containerd.pid"), "utf8")))
  const engine = await start()
  const signal = (name: NodeJS.Signals): void => {
    // A pid that is not one of ours must never be signalled, least of all 0 and 1.
    if (pid > 1) process.kill(pid, name)
  }
  return {
    engine,
    pid: () => pid,
    signal,
    kill: async () => {
      signal("SIGKILL")
      await gone(pid)
      await containerdGone()
    },
    start: async () => void (await start()),
    close: async () => {
      for (const id of await containerIds(engine.address))
        await callEngine(engine.address, {
          method: "DELETE",
          path: `/containers/${id}`,
          query: [["force", "1"]],
          timeoutMs: 30_000,
        })
      signal("SIGTERM")
      await gone(pid)
      await runCommand(["umount", "-R", "-l", `${folder}/data`], { timeoutMs: 10_000 })
    },
  }
}

const containerIds = async (address: EngineAddress): Promise<readonly string[]> => {
  const answer = await callEngine(address, {
    method: "GET",
    path: "/containers/json",
    query: [["all", "1"]],
    timeoutMs: 30_000,
  })
  return (JSON.parse(answer.text) as readonly { readonly Id: string }[]).map(({ Id }) => Id)
}

/** Hands an image from one engine to another. */
export const copyImage = (from: EngineAddress, to: EngineAddress, image: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const asked = request({ ...from, path: `/images/${image}/get`, headers: { Host: "docker" } })
    asked.once("error", reject)
    asked.once("response", (archive) => {
      if (archive.statusCode !== 200)
        return reject(new Error(`the image ${image} cannot be had: ${archive.statusCode}`))
      const load = { method: "POST", path: "/images/load", body: archive, timeoutMs: 120_000 } as const
      void callEngine(to, load).then(({ status, text }) => {
        if (status === 200 && !text.includes('"error"')) resolve()
        else reject(new Error(`the image ${image} cannot be loaded: ${text}`))
      }, reject)
    })
    asked.end()
  })
