import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { findProgram, hasProgram, installPackages, isDebianRoot } from "./debian.ts"
import { callEngine, type EngineAddress } from "./engineClient.ts"
import { lastLine } from "./command.ts"
import type { Outcome, Reporter } from "./outcome.ts"
import { stateDir } from "./stateDir.ts"

/** An engine that answered. */
export interface FoundEngine {
  readonly address: EngineAddress
  /** As `DOCKER_HOST` would name it. */
  readonly host: string
  readonly version: string
}

const PING_MS = 2_000
const START_MS = 60_000
const START_POLL_MS = 200
const END_MS = 15_000
const ENGINE_PID_FILE = "/var/run/docker.pid"

/** Tried in order until one answers: an engine in a container may have neither packet filters nor overlay mounts. */
const DAEMON_FLAGS: readonly (readonly string[])[] = [
  [],
  ["--iptables=false", "--ip6tables=false", "--bridge=none"],
  ["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"],
]

const HOW_TO_GET =
  "install Docker (https://docs.docker.com/engine/install/), start it, and make its socket readable for this user"

/** Reads a `DOCKER_HOST`; null for kinds that are not spoken here (ssh, TLS). */
export const parseHost = (host: string): EngineAddress | null => {
  if (host.startsWith("unix://")) return { socketPath: host.slice("unix://".length) }
  const httpUrl = host.replace(/^tcp:/, "http:")
  if (!httpUrl.startsWith("http://") || !URL.canParse(httpUrl)) return null
  const url = new URL(httpUrl)
  return { host: url.hostname, port: Number(url.port || "2375") }
}

const candidates = (): readonly string[] => {
  const chosen = process.env["DOCKER_HOST"]
  if (chosen !== undefined && chosen !== "") return [chosen]
  const runtimeDir = process.env["XDG_RUNTIME_DIR"]
  return [
    "unix:///var/run/docker.sock",
    `unix://${join(homedir(), ".docker/run/docker.sock")}`,
    ...(runtimeDir === undefined ? [] : [`unix://${join(runtimeDir, "docker.sock")}`]),
  ]
}

const ask = async (host: string): Promise<FoundEngine | null> => {
  const address = parseHost(host)
  if (address === null) return null
  try {
    const reply = await callEngine(address, { method: "GET", path: "/version", timeoutMs: PING_MS })
    const parsed: unknown = JSON.parse(reply.text)
    const version = typeof parsed === "object" && parsed !== null && "Version" in parsed ? String(parsed.Version) : "?"
    return reply.status === 200 ? { address, host, version } : null
  } catch {
    return null
  }
}

/** The engine that answers at `DOCKER_HOST` or at one of the usual sockets; null when none does within two seconds each. */
export const findDocker = async (): Promise<FoundEngine | null> => {
  for (const host of candidates()) {
    const found = await ask(host)
    if (found !== null) return found
  }
  return null
}

/** True also for one that has ended and that nobody reaps, as happens where process 1 is no init. */
const isDead = (pid: number): boolean => {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return true
  }
}

/** An engine takes a dead process of its pid files for a living one, and then waits for it in vain. */
const forgetDead = (flags: readonly string[]): void => {
  const valueOf = (flag: string, usual: string): string =>
    flags.find((given) => given.startsWith(`${flag}=`))?.slice(flag.length + 1) ?? usual
  const containerd = join(valueOf("--exec-root", "/var/run/docker"), "containerd/containerd.pid")
  for (const file of [valueOf("--pidfile", "/var/run/docker.pid"), containerd]) {
    try {
      if (isDead(Number(readFileSync(file, "utf8")))) rmSync(file)
    } catch {
      // There is none.
    }
  }
}

interface Daemon {
  readonly flags: readonly string[]
  readonly host: string
  readonly logFile: string
  readonly pidFile: string
}

/** Starts `dockerd` so that it outlives this process, and waits until it answers; null when it ended or stayed silent. */
export const startDaemon = async (daemon: Daemon): Promise<FoundEngine | null> => {
  forgetDead(daemon.flags)
  const log = openSync(daemon.logFile, "a", 0o600)
  // It belongs to the machine, not to whoever happened to start it: none of our settings go with it.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(BERTH_|npm_)/.test(name)))
  const child = spawn(findProgram("dockerd") ?? "dockerd", daemon.flags, {
    detached: true,
    stdio: ["ignore", log, log],
    cwd: "/",
    env,
  })
  closeSync(log)
  let ended = false
  child.once("error", () => {
    ended = true
  })
  child.once("exit", () => {
    ended = true
  })
  child.unref()
  for (let waitedMs = 0; waitedMs < START_MS && !ended; waitedMs += START_POLL_MS) {
    await sleep(START_POLL_MS)
    const found = await ask(daemon.host)
    if (found === null) continue
    writeFileSync(daemon.pidFile, `${child.pid}\n`)
    return found
  }
  if (!ended) await end(child)
  return null
}

/** SIGTERM lets the engine end its own containerd, whose lock would keep the next one out. */
const end = async (child: ChildProcess): Promise<void> => {
  child.kill("SIGTERM")
  for (let waitedMs = 0; waitedMs < END_MS && child.exitCode === null; waitedMs += START_POLL_MS)
    await sleep(START_POLL_MS)
  child.kill("SIGKILL")
}

/** An engine that was killed leaves its number behind, and refuses to start while any other process has it. */
const forgetStalePid = (): void => {
  if (!existsSync(ENGINE_PID_FILE)) return
  const pid = readFileSync(ENGINE_PID_FILE, "utf8").trim()
  const name = `/proc/${pid}/comm`
  if (existsSync(name) && readFileSync(name, "utf8").trim() !== "dockerd") rmSync(ENGINE_PID_FILE)
}

/** Images that another storage driver keeps would seem to be gone. */
const keepsImages = (flags: readonly string[]): boolean =>
  flags.includes("--storage-driver=vfs") && existsSync("/var/lib/docker/image/overlay2")

/** Finds an engine; on Debian, as root, installs the distribution's own and starts it. */
export const provideEngine = async (report: Reporter): Promise<readonly [Outcome, FoundEngine | null]> => {
  const what = "docker engine"
  const there = await findDocker()
  if (there !== null) return [{ what, status: "present", detail: `${there.version} at ${there.host}` }, there]
  if (process.env["DOCKER_HOST"]) {
    return [{ what, status: "missing", detail: "nothing answers at DOCKER_HOST; start that engine or unset it" }, null]
  }
  if (!isDebianRoot()) return [{ what, status: "missing", detail: HOW_TO_GET }, null]
  if (!hasProgram("dockerd")) {
    report.note("installing docker.io and iptables")
    const problem = await installPackages(["docker.io", "iptables"])
    if (problem !== null) return [{ what, status: "failed", detail: `docker.io cannot be installed: ${problem}` }, null]
    // Where an init system runs, the package has started the engine itself.
    const started = await findDocker()
    if (started !== null) return [{ what, status: "made", detail: `${started.version} at ${started.host}` }, started]
  }
  const folder = stateDir()
  mkdirSync(folder, { recursive: true })
  const logFile = join(folder, "dockerd.log")
  forgetStalePid()
  for (const flags of DAEMON_FLAGS.filter((wanted) => !keepsImages(wanted))) {
    report.note(`starting ${["dockerd", ...flags].join(" ")}`)
    const daemon = { flags, host: "unix:///var/run/docker.sock", logFile, pidFile: join(folder, "dockerd.pid") }
    const found = await startDaemon(daemon)
    if (found !== null)
      return [{ what, status: "made", detail: `${found.version} at ${found.host}, log ${logFile}` }, found]
  }
  return [
    { what, status: "failed", detail: `dockerd does not start: ${lastLine(readFileSync(logFile, "utf8"))}` },
    null,
  ]
}
