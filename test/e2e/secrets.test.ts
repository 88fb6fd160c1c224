/**
 * Secrets from `berth secret set` to the program, and nowhere else. What a server keeps, says and shows is left as evidence,
 * in which the canaries are looked for after all suites have ended.
 */
import { createHash } from "node:crypto"
import { cpSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { connectEngine } from "../../actors/executor/docker/client.ts"
import { type BerthClient, connect, type SubmitRequest, type TaskEvent } from "../../gateway/client/index.ts"
import { evidence, layBait, plantCanary } from "../support/canaries.ts"
import { runCli } from "../support/cliProcess.ts"
import { describeWithDocker } from "../support/require.ts"
import { type Ready, type ServerProcess, startServer } from "../support/serverProcess.ts"

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")

/** Prints the hash of a variable: enough to know it by, and not the value. */
const HASH = 'import hashlib, os\nprint(hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest(), flush=True)\n'
const WAIT = `${HASH}import time\ntime.sleep(600)\n`

/** One server with its evidence: data directory, log, and every answer of the client. */
class Scene {
  readonly folder: string
  readonly dataDir: string
  readonly #executor: "docker" | "process"
  readonly #answers: unknown[] = []
  #server: (ServerProcess & { readonly at: Ready }) | null = null
  #logs = ""

  constructor(executor: "docker" | "process") {
    this.folder = evidence(`secrets-${executor}`)
    this.dataDir = join(this.folder, "data")
    this.#executor = executor
  }

  get at(): Ready {
    if (this.#server === null) throw new Error("the server is not up")
    return this.#server.at
  }

  async start(): Promise<void> {
    const { dataDir } = this
    this.#server = await startServer({ dataDir, executor: this.#executor, slots: 4, env: { BERTH_LOG: "debug" } })
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    await this.#server?.end(signal)
    this.#logs += this.#server?.log() ?? ""
    writeFileSync(join(this.folder, "server.log"), this.#logs)
    writeFileSync(join(this.folder, "answers.json"), JSON.stringify(this.#answers))
  }

  /** Keeps what was answered for the search, and hands it on. */
  note<A>(answer: A): A {
    this.#answers.push(answer)
    return answer
  }

  async cli(argv: readonly string[], stdin = "") {
    const ended = await runCli([...argv, "--data", this.dataDir], { cwd: this.folder, stdin })
    return this.note(ended)
  }

  async client(token = this.at.token): Promise<BerthClient> {
    return connect(this.at.url, { token })
  }

  async tokenOf(owner: string): Promise<string> {
    return (await runCli(["token", "--owner", owner, "--data", this.dataDir])).out.trim()
  }

  /** Runs a task to its end and keeps every event of it. */
  async run(client: BerthClient, request: SubmitRequest) {
    const handle = await client.submit(request)
    return this.finished(client, handle.id)
  }

  async finished(client: BerthClient, id: string) {
    const events: TaskEvent[] = []
    for await (const event of client.watch(id)) events.push(event)
    const text = events.map((event) => (event.type === "output" ? new TextDecoder().decode(event.bytes) : "")).join("")
    const task = await client.get(id)
    this.note([events.map((event) => (event.type === "output" ? new TextDecoder().decode(event.bytes) : event)), task])
    return { id, task, text, events }
  }

  /** What anybody may ask a server. */
  async shown(client: BerthClient): Promise<void> {
    this.note([await client.system(), await client.queue(), await client.discover()])
    for await (const task of client.list()) this.note(task)
    for (const path of ["/metrics", "/health", "/ready"])
      this.note(await (await fetch(this.at.url.replace("ws", "http") + path)).text())
  }
}

const suites = (scene: () => Scene, canary: string, later: string, bait: string): void => {
  it("come from standard input or a file, are listed by name and removed", async () => {
    const { cli, folder } = { cli: scene().cli.bind(scene()), folder: scene().folder }
    expect(await cli(["secret", "set", "TOKEN"], `${canary}\n`)).toMatchObject({ code: 0, out: "kept TOKEN\n" })
    writeFileSync(join(folder, "plain.txt"), "of a file\r\n")
    expect((await cli(["secret", "set", "OTHER", "--value-file", "plain.txt", "--json"])).code).toBe(0)
    expect((await cli(["secret", "ls"])).out).toBe("OTHER\nTOKEN\n")
    expect((await cli(["secret", "rm", "OTHER"])).out).toBe("removed OTHER\n")
    expect(await cli(["secret", "rm", "OTHER"])).toMatchObject({ code: 125 })
    expect((await cli(["secret", "ls", "--json"])).out).toBe('{"names":["TOKEN"]}\n')
    expect(await cli(["secret", "set", "EMPTY"], "\n")).toMatchObject({ code: 125 })
  })

  it("reach the program, byte for byte, by the client and by the command line", async () => {
    const client = await scene().client()
    const request = { runtime: "python", code: HASH, secrets: ["TOKEN"], env: { BAIT: bait }, maxAttempts: 2 } as const
    const { task, text } = await scene().run(client, request)
    expect([task.status, text]).toEqual(["completed", `${sha256(canary)}\n`])
    const odd = " line one\n'two' $(three) `four` \\ é\n"
    await client.secrets.set("ODD", odd)
    const other = await scene().run(client, { ...request, code: HASH.replaceAll("TOKEN", "ODD"), secrets: ["ODD"] })
    expect(other.text).toBe(`${sha256(odd)}\n`)
    writeFileSync(join(scene().folder, "hash.py"), HASH)
    const ran = await scene().cli(["run", "hash.py", "--secret", "TOKEN", "--json"])
    expect([ran.code, ran.out]).toEqual([0, `${sha256(canary)}\n`])
    await scene().shown(client)
    await client.close()
  })

  it("that are not there end the task without a run, and without its other attempts; set and retried, it runs", async () => {
    const client = await scene().client()
    const request = { runtime: "python", code: HASH.replaceAll("TOKEN", "LATE"), secrets: ["LATE"], maxAttempts: 3 }
    const { events, id, task, text } = await scene().run(client, request)
    expect(task).toMatchObject({ status: "failed", attempt: 1, result: { reason: "refused" } })
    expect([task.result?.message, text]).toEqual(["there is no secret LATE", ""])
    expect(events.filter((event) => event.type === "state" && event.facts.includes("started"))).toHaveLength(1)
    await client.secrets.set("LATE", later)
    await client.retry(id)
    const again = await scene().finished(client, id)
    expect([again.task.status, again.text]).toEqual(["completed", `${sha256(later)}\n`])
    await client.close()
  })

  it("are the owner's: another one's task of the same name gets nothing of it, a retry by an admin gets the owner's", async () => {
    const [admin, bob] = [await scene().client(), await scene().client(await scene().tokenOf("bob"))]
    expect(await bob.secrets.list()).toEqual([])
    const { id, task } = await scene().run(bob, { runtime: "python", code: HASH, secrets: ["TOKEN"] })
    expect(task.result).toMatchObject({ reason: "refused", message: "there is no secret TOKEN" })
    await bob.secrets.set("TOKEN", "bob's own")
    await admin.retry(id)
    expect((await scene().finished(admin, id)).text).toBe(`${sha256("bob's own")}\n`)
    await admin.close()
    await bob.close()
  })
}

describeWithDocker("secrets in containers", (engine) => {
  const canary = plantCanary("docker-first")
  const later = plantCanary("docker-later")
  const bait = layBait("docker-environment")
  let scene: Scene
  beforeAll(async () => {
    scene = new Scene("docker")
    await scene.start()
  })
  afterAll(async () => scene.end("SIGKILL"))

  suites(() => scene, canary, later, bait)

  it("are in no part of the container that the engine shows, while it runs", async () => {
    const client = await scene.client()
    const docker = connectEngine(engine.host)
    const handle = await client.submit({ runtime: "python", code: WAIT, secrets: ["TOKEN"] })
    for await (const event of handle.events()) if (event.type === "output") break
    const { containerId } = await client.get(handle.id)
    const container = docker.getContainer(containerId ?? "")
    const inspected = await container.inspect()
    expect(inspected.State.Running).toBe(true)
    expect(inspected.Config.Env.join()).not.toContain("TOKEN")
    const { Image: image } = inspected
    scene.note([inspected, await docker.getImage(image).inspect(), await container.top({ ps_args: "-ef" })])
    scene.note([await container.changes(), (await container.logs({ stdout: true, stderr: true })).toString()])
    await client.kill(handle.id)
    await scene.finished(client, handle.id)
    await client.close()
  })

  it("reach a command of an image in the same way", async () => {
    const client = await scene.client()
    const [, , command] = ["sh", "-c", 'printf %s "$TOKEN" | sha256sum']
    const request = { image: "berth-runtime-shell:1", command: ["sh", "-c", command ?? ""], secrets: ["TOKEN"] }
    expect((await scene.run(client, request)).text.split(" ")[0]).toBe(sha256(canary))
    await client.close()
  })

  it("are sealed: a copy has them, another key opens none and the server says so, a new one is made by rotation", async () => {
    const client = await scene.client()
    await scene.cli(["backup", join(scene.folder, "copy")])
    await client.close()
    expect((await scene.cli(["secret", "rotate-key"])).code).toBe(125)
    await scene.end("SIGKILL")
    // What a crash left, before anybody tidies it up.
    cpSync(scene.dataDir, join(scene.folder, "crashed"), { recursive: true, filter: (path) => !path.endsWith(".key") })
    const wrong = await runCli(["serve", "--port", "0", "--json", "--data", scene.dataDir], {
      env: { BERTH_SECRETS_KEY: Buffer.alloc(32, 1).toString("base64") },
    })
    expect([wrong.code, JSON.parse(wrong.err).error.code]).toEqual([125, "SECRET_KEY_WRONG"])
    expect(await scene.cli(["secret", "rotate-key"])).toMatchObject({ code: 0, out: "4 sealed with a new key\n" })
    await scene.start()
    const again = await scene.client()
    const { text } = await scene.run(again, { runtime: "python", code: HASH, secrets: ["TOKEN"] })
    expect(text).toBe(`${sha256(canary)}\n`)
    await again.close()
  })
})

describe("secrets in plain processes", () => {
  const canary = plantCanary("process-first")
  const later = plantCanary("process-later")
  const bait = layBait("process-environment")
  let scene: Scene
  beforeAll(async () => {
    scene = new Scene("process")
    await scene.start()
  })
  afterAll(async () => scene.end("SIGKILL"))

  suites(() => scene, canary, later, bait)

  it("stay with a program that outlives its server", async () => {
    const client = await scene.client()
    const code = `import time, os.path\n${HASH}while not os.path.exists("go"): time.sleep(0.05)\n${HASH}`
    const handle = await client.submit({ runtime: "python", code, secrets: ["TOKEN"], timeoutMs: 60_000 })
    for await (const event of handle.events()) if (event.type === "output") break
    await client.close()
    await scene.end("SIGKILL")
    await scene.start()
    const again = await scene.client()
    const { containerId } = await again.get(handle.id)
    writeFileSync(join(scene.dataDir, "boxes", containerId ?? "", "box/go"), "")
    const { task, text } = await scene.finished(again, handle.id)
    expect([task.status, text]).toEqual(["completed", `${sha256(canary)}\n`.repeat(2)])
    await again.close()
  })
})
