/**
 * What an engine itself says that it did, written down by another process: neither our log nor our code counts the starts.
 *
 *   test ──spawn──▶ this file as a program ──GET /events──▶ engine
 *                          └─ one JSON line per event ─▶ file ◀─reads─ test
 *
 * Where a word is given that programs print first, it listens to every container as well, from its creation on, and notes when
 * the word came: a container that was started has not begun its program yet.
 */
import { spawn } from "node:child_process"
import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { callEngine } from "../../gateway/provision/engineClient.ts"
import { type FoundEngine, parseHost } from "../../gateway/provision/engine.ts"

/** One event of a container of ours. */
export interface Seen {
  /** `speak`: its program printed the word that was listened for. */
  readonly action: "create" | "start" | "speak" | "pause" | "unpause" | "die" | "destroy"
  readonly name: string
  readonly cluster: string
  readonly atMs: number
}

export interface Witness {
  /** All events of one cluster so far, oldest first. */
  readonly seen: (cluster: string) => readonly Seen[]
  /** How often each container of one cluster was started, by name. */
  readonly starts: (cluster: string) => ReadonlyMap<string, number>
  readonly stop: () => Promise<void>
}

const ACTIONS = ["create", "start", "pause", "unpause", "die", "destroy"]
const RECONNECT_MS = 50
/** Of what a container prints; far longer than any word. */
const HEARD_CHARS_MAX = 4_096

interface EngineEvent {
  readonly Action: string
  readonly timeNano: number
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> }
}

interface Hearing {
  readonly host: string
  readonly file: string
  /** Null: nobody listens to containers. */
  readonly word: string | null
}

function write({ file, host, word }: Hearing, line: string): void {
  const { Action, Actor, timeNano } = JSON.parse(line) as EngineEvent
  const { name = "", "berth.cluster": cluster = "" } = Actor.Attributes
  if (!ACTIONS.includes(Action)) return
  const note = (action: string, atMs: number): void =>
    appendFileSync(file, `${JSON.stringify({ action, name, cluster, atMs })}\n`)
  note(Action, Math.floor(timeNano / 1e6))
  if (Action === "create" && word !== null) hear(host, Actor.ID, word, () => note("speak", Date.now()))
}

/** Calls back once, when the container has printed the word; never, if it is removed before that. */
function hear(host: string, id: string, word: string, spoke: () => void): void {
  const path = `/containers/${id}/attach?stream=1&stdout=1&logs=1`
  const call = request({ ...parseHost(host), path, method: "POST", headers: { Host: "docker" }, agent: false })
  call.once("error", () => {})
  call.once("response", (answer) => {
    let heard = ""
    answer.on("error", () => {})
    answer.on("data", (bytes: Buffer) => {
      heard = (heard + bytes.toString("latin1")).slice(-HEARD_CHARS_MAX)
      if (!heard.includes(word)) return
      spoke()
      call.destroy()
    })
  })
  call.end()
}

/** Listens until its connection ends, which happens when the engine does. */
const listen = (hearing: Hearing): Promise<void> =>
  new Promise((resolve) => {
    const filters = encodeURIComponent(JSON.stringify({ type: ["container"], label: ["berth.cluster"] }))
    const call = request({
      ...parseHost(hearing.host),
      path: `/events?filters=${filters}`,
      headers: { Host: "docker" },
    })
    call.once("error", () => resolve())
    call.once("response", (answer) => {
      process.stdout.write("listening\n")
      const lines = createInterface({ input: answer })
      lines.on("line", (line) => line !== "" && write(hearing, line))
      lines.once("close", () => resolve())
      lines.on("error", () => resolve())
      answer.once("error", () => resolve())
    })
    call.end()
  })

const [, program, host, file, word = null] = process.argv
if (program === import.meta.filename && host !== undefined && file !== undefined) {
  // Whoever wants to know has gone.
  process.stdin.on("end", () => process.exit()).resume()
  for (;;) {
    await listen({ host, file, word })
    await sleep(RECONNECT_MS)
  }
}

/**
 * Starts to record; resolves when the engine has said that it will tell.
 *
 * @param word - what every program prints first, if it is to be noted when that came
 */
export async function startWitness(engine: FoundEngine, path: string, word: string | null = null): Promise<Witness> {
  writeFileSync(path, "")
  const words = [engine.host, path, ...(word === null ? [] : [word])]
  const child = spawn(process.execPath, ["--import", "tsx", import.meta.filename, ...words], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  await new Promise<void>((resolve, reject) => {
    child.stdout.once("data", () => resolve())
    child.once("exit", () => reject(new Error("the witness ended before it listened")))
  })
  const seen = (cluster: string): readonly Seen[] =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Seen)
      .filter((event) => event.cluster === cluster)
  const starts = (cluster: string): ReadonlyMap<string, number> => {
    const counts = new Map<string, number>()
    for (const { action, name } of seen(cluster)) if (action === "start") counts.set(name, (counts.get(name) ?? 0) + 1)
    return counts
  }
  const stop = () => {
    child.kill("SIGKILL")
    return ended
  }
  return { seen, starts, stop }
}

/** Containers of one cluster that exist now, asked of the engine without our executor. */
export async function containersOf(
  engine: FoundEngine,
  cluster: string,
): Promise<readonly { readonly name: string; readonly state: string }[]> {
  const answer = await callEngine(engine.address, {
    method: "GET",
    path: "/containers/json",
    query: [
      ["all", "1"],
      ["filters", JSON.stringify({ label: [`berth.cluster=${cluster}`] })],
    ],
    timeoutMs: 30_000,
  })
  const found = JSON.parse(answer.text) as readonly { readonly Names: readonly string[]; readonly State: string }[]
  return found.map(({ Names, State }) => ({ name: (Names[0] ?? "").replace(/^\//, ""), state: State }))
}

/** Removes what a drill that failed has left, so that the next one is not disturbed by it. An engine that is away keeps it. */
/** Ends a container's program from outside, as its worker would never do. */
export async function killContainer(engine: FoundEngine, name: string): Promise<void> {
  const path = `/containers/${name}/kill`
  const { status, text } = await callEngine(engine.address, { method: "POST", path, timeoutMs: 60_000 })
  if (status !== 204) throw new Error(`${name} could not be killed: ${status} ${text}`)
}

export async function removeContainersOf(engine: FoundEngine, cluster: string): Promise<void> {
  for (const { name } of await containersOf(engine, cluster).catch(() => [])) {
    const query = [["force", "1"] as const, ["v", "1"] as const]
    await callEngine(engine.address, { method: "DELETE", path: `/containers/${name}`, query, timeoutMs: 60_000 })
  }
}
