import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { networkInterfaces, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { expect } from "vitest"
import { Berth, type TaskHandle } from "../../gateway/main/index.ts"
import { callEngine } from "../../gateway/provision/engineClient.ts"
import type { FoundEngine } from "../../gateway/provision/engine.ts"
import { containersOf, removeContainersOf } from "../support/engineWitness.ts"

/**
 * A server with a neighbour: what a hostile program must not touch, slow down or leave anything beside.
 *
 *   canaries   a file and an environment variable of this host, a file and a variable in the neighbour's container
 *   neighbour  ticks ten times a second and tells by how much it was late
 *   leftovers  containers of this cluster, processes with user ids of this worker, mounts and folders of containers that are gone
 */

const CANARY = `canary-${process.pid}-7d1c9a`
/** Kept in the environment of this process, which is the worker. */
export const CANARY_VARIABLE = "BERTH_HOSTILE_CANARY"
const LEFT_MS_MAX = 5_000
/** Generous, because the machine may have other work: something that stands still is found, a slow machine is not. */
const LATE_MS_MAX = 20_000
const PROBE_EVERY_MS = 100

const NEIGHBOUR = `
import os, sys, time
open("/box/canary", "w").write(os.environ["CANARY"])
due = time.monotonic()
while True:
    due += 0.1
    time.sleep(max(0, due - time.monotonic()))
    late = time.monotonic() - due
    sys.stdout.write(f"{late * 1000:.0f} {open('/box/canary').read() == os.environ['CANARY']}\\n"); sys.stdout.flush()
    due = max(due, time.monotonic())
`

const uidOfPolicy = (policy: unknown): number =>
  Number(String((policy as { readonly user?: string } | null)?.user ?? "").split(":")[0])

const processesOfUids = (isOurs: (uid: number) => boolean): readonly string[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const uid = Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])
        return isOurs(uid) ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")}`] : []
      } catch {
        return []
      }
    })

export class Scene {
  readonly engine: FoundEngine
  readonly berth: Berth
  readonly clusterId: string
  readonly #folder: string
  readonly #neighbour: TaskHandle
  #neighbourUid = Number.NaN
  /** Where the engine keeps everything; other engines of this machine are not looked at. */
  #root = ""
  #ticks = 0
  #worstLateMs = 0
  #worstAnswerMs = 0
  #isChanged = false
  #seesProcesses = false
  #stopProbing = false
  #probing: Promise<void> = Promise.resolve()
  #listening: Promise<void> = Promise.resolve()

  private constructor(engine: FoundEngine, folder: string, berth: Berth, clusterId: string, neighbour: TaskHandle) {
    this.engine = engine
    this.#folder = folder
    this.berth = berth
    this.clusterId = clusterId
    this.#neighbour = neighbour
  }

  static async open(engine: FoundEngine): Promise<Scene> {
    const folder = mkdtempSync(join(tmpdir(), "berth-hostile-"))
    process.env[CANARY_VARIABLE] = CANARY
    writeFileSync(join(folder, "canary"), CANARY, { mode: 0o644 })
    const dataDir = join(folder, "data")
    const berth = await Berth.open({ dataDir, engine: engine.host, slots: 3, listen: { host: "0.0.0.0", port: 0 } })
    const { clusterId } = await berth.client.system()
    const task = await berth.submit({
      runtime: "python",
      code: NEIGHBOUR,
      env: { CANARY },
      timeoutMs: 3_600_000,
      graceMs: 0,
    })
    const scene = new Scene(engine, folder, berth, clusterId, task)
    scene.#listening = scene.#listen()
    scene.#probing = scene.#probe()
    await scene.#tick()
    const neighbour = await scene.#ask<{ readonly Config: { readonly User: string } }>(
      `/containers/berth-${task.id}-1/json`,
    )
    scene.#neighbourUid = Number(neighbour.Config.User.split(":")[0])
    scene.#root = (await scene.#ask<{ readonly DockerRootDir: string }>("/info")).DockerRootDir
    scene.#seesProcesses = processesOfUids((uid) => uid === scene.#neighbourUid).length > 0
    return scene
  }

  /** Files of this host that no program may find. */
  get canaryPaths(): readonly string[] {
    return [join(this.#folder, "canary"), join(this.#folder, "data", "secret"), this.#folder]
  }

  /** Where this server listens on the host: port and every address. */
  get doors(): readonly string[] {
    const { port } = new URL(this.berth.url ?? "ws://127.0.0.1:1")
    const addresses = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address))
    return addresses.filter((address) => !address.includes(":")).map((address) => `${address}:${port}`)
  }

  /** What must hold after every hostile program. */
  async check(seen: { readonly printed: string; readonly policy: unknown }): Promise<void> {
    expect(seen.printed).not.toContain(CANARY)
    expect(readFileSync(join(this.#folder, "canary"), "utf8")).toBe(CANARY)
    expect(statSync(join(this.#folder, "canary")).mode & 0o777).toBe(0o644)
    if (seen.policy !== null) expect(uidOfPolicy(seen.policy)).not.toBe(this.#neighbourUid)
    await this.#tick()
    expect(this.#isChanged).toBe(false)
    expect(this.#worstLateMs).toBeLessThan(LATE_MS_MAX)
    expect(this.#worstAnswerMs).toBeLessThan(LATE_MS_MAX)
    const untilMs = Date.now() + LEFT_MS_MAX
    let left = await this.#leftovers()
    while (left.length > 0 && Date.now() < untilMs) {
      await sleep(50)
      left = await this.#leftovers()
    }
    if (left.length > 0) throw new Error(`left behind: ${left.join("; ")}`)
  }

  /** A user id of this worker that no slot has. */
  get spareUid(): number {
    return Math.floor(this.#neighbourUid / 1_000) * 1_000 + 999
  }

  /** What was measured, for people. */
  summary(): string {
    const processes = this.#seesProcesses
      ? ""
      : "; processes of containers are not visible from here and were not looked for"
    return `neighbour late by ${this.#worstLateMs} ms at most, server answered within ${Math.round(this.#worstAnswerMs)} ms${processes}`
  }

  async close(): Promise<void> {
    this.#stopProbing = true
    await this.#probing
    await this.#neighbour.kill().catch(() => undefined)
    await this.#neighbour.result()
    await this.#listening
    await this.berth.close()
    expect(await containersOf(this.engine, this.clusterId)).toEqual([])
    await removeContainersOf(this.engine, this.clusterId)
    Reflect.deleteProperty(process.env, CANARY_VARIABLE)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #listen(): Promise<void> {
    let text = ""
    for await (const event of this.#neighbour.output({ stream: "stdout" })) {
      if (event.type !== "output") continue
      text += Buffer.from(event.bytes).toString()
      const lines = text.split("\n")
      text = lines.pop() ?? ""
      for (const line of lines) {
        const [late, isSame] = line.split(" ")
        this.#worstLateMs = Math.max(this.#worstLateMs, Number(late))
        this.#isChanged ||= isSame !== "True"
        this.#ticks += 1
      }
    }
  }

  async #probe(): Promise<void> {
    while (!this.#stopProbing) {
      const beganMs = performance.now()
      await this.berth.client.system()
      this.#worstAnswerMs = Math.max(this.#worstAnswerMs, performance.now() - beganMs)
      await sleep(PROBE_EVERY_MS)
    }
  }

  /** One that the neighbour makes from now on. */
  async #tick(): Promise<void> {
    const before = this.#ticks
    while (this.#ticks === before) {
      const task = await this.#neighbour.get()
      expect(["pending", "running"]).toContain(task.status)
      await sleep(20)
    }
  }

  async #ask<A>(path: string, query: readonly (readonly [string, string])[] = []): Promise<A> {
    const { text } = await callEngine(this.engine.address, { method: "GET", path, query, timeoutMs: 30_000 })
    return JSON.parse(text) as A
  }

  async #leftovers(): Promise<readonly string[]> {
    const containers = (await containersOf(this.engine, this.clusterId))
      .map(({ name }) => name)
      .filter((name) => name !== `berth-${this.#neighbour.id}-1`)
    const block = Math.floor(this.#neighbourUid / 1_000)
    const processes = processesOfUids((uid) => Math.floor(uid / 1_000) === block && uid !== this.#neighbourUid)
    return [...containers, ...processes, ...(await this.#strayMounts())]
  }

  /** Mounts in folders of containers that the engine does not know. Somebody else's may just be coming or going. */
  async #strayMounts(): Promise<readonly string[]> {
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "")
      .filter((place) => place.startsWith(`${this.#root}/containers/`) || place.startsWith(`${this.#root}/overlay2/`))
    if (mounts.length === 0) return []
    const all = await this.#ask<readonly { readonly Id: string; readonly State: string }[]>("/containers/json", [
      ["all", "1"],
    ])
    const running = all.filter(({ State }) => State !== "created" && State !== "exited")
    // One overlay for each container that runs; more of them are those of containers that are gone.
    const overlays = mounts.filter((place) => place.endsWith("/merged"))
    const others = mounts.filter(
      (place) => place.includes("/containers/") && !running.some(({ Id }) => place.includes(Id)),
    )
    return [
      ...others,
      ...(overlays.length > running.length ? [`${overlays.length} mounts of ${running.length} containers`] : []),
    ]
  }
}
