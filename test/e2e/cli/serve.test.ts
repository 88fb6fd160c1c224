import { existsSync } from "node:fs"
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { DoctorLine } from "../../../gateway/cli/host.ts"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { connect, type Task } from "../../../gateway/client/index.ts"
import { type CliEnded, type CliOptions, jsonLines, lastLine, runCli, startCli } from "../../support/cliProcess.ts"
import { describeWithDocker } from "../../support/require.ts"
import { startServer, type ServerProcess } from "../../support/serverProcess.ts"

const LOOK_MS = 50

interface Refusal {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly hint: string
    readonly path: string | null
  }
}

let folder: string
let server: ServerProcess & { readonly at: { readonly url: string; readonly token: string; readonly pid: number } }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-serve-"))
  await writeFile(join(folder, "hello.py"), 'print("hello")\n')
  await writeFile(join(folder, "fails.sh"), "echo why not >&2\nexit 9\n")
  await writeFile(join(folder, "long.py"), 'import time\nprint("up", flush=True)\ntime.sleep(60)\n')
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

describeWithDocker("berth serve and the commands that talk to it", () => {
  beforeAll(async () => {
    server = await startServer({ dataDir: join(folder, "data"), slots: 4 })
  })
  const berth = (argv: readonly string[], options: CliOptions = {}): Promise<CliEnded> =>
    runCli([...argv, "--data", join(folder, "data")], { cwd: folder, ...options })
  const json = async <A>(...argv: readonly string[]): Promise<A> => {
    const ended = await berth([...argv, "--json"])
    expect([ended.code, ended.err]).toEqual([0, ""])
    return JSON.parse(ended.out) as A
  }

  it("says where it listens, with whose token, and keeps its secret to itself", async () => {
    expect(server.at).toMatchObject({ pid: server.pid, dataDir: join(folder, "data") })
    expect((await stat(join(folder, "data/secret"))).mode & 0o777).toBe(0o600)
    const client = await connect(server.at.url, { token: server.at.token })
    // It listens before its worker has looked at what another may have left on the engine.
    while (!(await client.system()).ready) await sleep(LOOK_MS)
    expect(await client.system()).toMatchObject({ ready: true, store: "sqlite", durability: "fsynced" })
    await client.close()
  })

  it("refuses a second server on the same directory, and names the first", async () => {
    const ended = await berth(["serve", "--port", "0", "--json"])
    const { error } = lastLine<Refusal>(ended.err)
    expect([ended.code, ended.out, error.code]).toEqual([125, "", "DATA_DIR_LOCKED"])
    expect(error.message).toContain(`process ${server.pid}`)
    expect(error.message).toContain(server.at.url)
  })

  it("takes a task from submit through ls, get, logs and watch to its end", async () => {
    const submitted = await berth(["submit", "hello.py", "--label", "part=life", "--key", "one"])
    const id = submitted.out.trim()
    expect([submitted.code, submitted.err]).toEqual([0, ""])
    expect(await json("submit", "hello.py", "--label", "part=life", "--key", "one")).toMatchObject({
      id,
      duplicate: true,
    })
    expect(await berth(["logs", "-f", id])).toEqual({ code: 0, out: "hello\n", err: "" })
    expect((await berth(["logs", id])).out).toBe("hello\n")
    expect(await json<Task>("get", id)).toMatchObject({ id, status: "completed", labels: { part: "life" } })
    const listed = await berth(["ls", "--label", "part=life", "--status", "completed", "--json"])
    expect(jsonLines<Task>(listed.out).map((task) => task.id)).toEqual([id])
    const watched = jsonLines<{ type: string; seq: number }>((await berth(["watch", id, "--json"])).out)
    expect(watched.at(-1)?.type).toBe("end")
    const seqs = watched.map((event) => event.seq)
    // Two events may come of one record; none comes before an earlier one.
    expect(seqs).toEqual(seqs.toSorted((one, other) => one - other))
    const text = await berth(["get", id])
    expect(text.out).toMatch(/^status +completed$/m)
  })

  it("retries dead letters, one or all", async () => {
    const { id } = await json<{ id: string }>("submit", "fails.sh")
    expect((await berth(["logs", "-f", id])).code).toBe(9)
    expect(jsonLines<Task>((await berth(["dlq", "ls", "--json"])).out).map((task) => task.id)).toEqual([id])
    expect((await berth(["dlq", "show", id])).out).toContain("why not")
    expect((await berth(["retry", id])).code).toBe(0)
    expect((await berth(["logs", "-f", id])).code).toBe(9)
    expect((await berth(["dlq", "requeue", "--all"])).code).toBe(0)
    expect((await berth(["logs", "-f", id])).code).toBe(9)
    expect(await json<Task>("get", id)).toMatchObject({ status: "failed", attempt: 3 })
    expect((await berth(["delete", id])).code).toBe(0)
    const gone = await berth(["get", id, "--json"])
    expect([gone.code, lastLine<Refusal>(gone.err).error.code]).toEqual([125, "NOT_FOUND"])
  })

  it.each(["cancel", "kill"])("%s stops what runs", async (command) => {
    const { id } = await json<{ id: string }>("submit", "long.py", "--grace", "100ms")
    const following = startCli(["logs", "-f", id, "--data", join(folder, "data")])
    await following.says("out", "up")
    expect((await berth([command, id])).code).toBe(0)
    expect((await following.ended).code).toBe(130)
    expect(await json<Task>("get", id)).toMatchObject({
      status: "cancelled",
      result: { reason: command === "kill" ? "killed" : "cancelled" },
    })
  })

  it("tells how the queue and the server fare", async () => {
    expect(await json("queue")).toMatchObject({ slotsHeld: 0, slotsTotal: 4, byStatus: { running: 0, pending: 0 } })
    expect(await json("system")).toMatchObject({ ready: true, slotDrift: 0, repairs: 0 })
    expect((await berth(["queue"])).out).toContain("slots in use: 0 of 4")
  })

  it("makes a token that sees its owner's tasks alone, and asks for no lane above its own", async () => {
    const flags = ["--owner", "ann", "--role", "user", "--lane-max", "normal", "--for", "10m"]
    const { token } = await json<{ token: string }>("token", ...flags)
    const env = { BERTH_URL: server.at.url, BERTH_TOKEN: token }
    const asAnn = (...argv: readonly string[]) => runCli([...argv, "--json"], { cwd: folder, env })
    expect((await asAnn("ls")).out).toBe("")
    const above = await asAnn("submit", "hello.py", "--lane", "high")
    expect([above.code, lastLine<Refusal>(above.err).error.code]).toEqual([125, "FORBIDDEN"])
    const expired = await runCli(["ls", "--url", server.at.url, "--token", `${token}x`, "--json"])
    expect([expired.code, lastLine<Refusal>(expired.err).error.code]).toEqual([125, "UNAUTHORIZED"])
  })

  it("copies the directory of a live server, and makes another one of the copy", async () => {
    const before = jsonLines<Task>((await berth(["ls", "--json"])).out).map((task) => task.id)
    expect((await berth(["backup", join(folder, "copy")])).code).toBe(0)
    const twice = await berth(["backup", join(folder, "copy"), "--json"])
    expect([twice.code, lastLine<Refusal>(twice.err).error.code]).toEqual([125, "WRONG_STATE"])
    const restored = join(folder, "restored")
    expect((await runCli(["restore", join(folder, "copy"), "--data", restored])).code).toBe(0)
    const other = await startServer({ dataDir: restored, slots: 1 })
    const after = await runCli(["ls", "--json", "--data", restored])
    expect(jsonLines<Task>(after.out).map((task) => task.id)).toEqual(before)
    expect((await other.end("SIGTERM")).code).toBe(0)
  })

  it("looks at the engine and the directory", async () => {
    const looked = await berth(["doctor", "--json"])
    const { lines, ok } = JSON.parse(looked.out) as { ok: boolean; lines: readonly DoctorLine[] }
    const failed = lines.filter(({ verdict }) => verdict === "fail")
    expect(failed.filter(({ kind }) => kind === "attack")).toEqual([])
    expect(lines.filter(({ kind }) => kind === "attack").length).toBeGreaterThan(30)
    // What this machine's engine is decides between the two; that programs are contained does not.
    expect([looked.code, ok]).toEqual(failed.length === 0 ? [0, true] : [2, false])
    expect(lines.find((line) => line.name === "engine")?.verdict).toBe("ok")
    const without = await berth(["doctor", "--json"], { env: { DOCKER_HOST: "unix:///nowhere.sock" } })
    expect([without.code, JSON.parse(without.out)]).toMatchObject([2, { ok: false }])
  })

  it("ends in order at SIGTERM and gives the directory free", async () => {
    expect(await server.end("SIGTERM")).toEqual({ code: 0, signal: null })
    expect(existsSync(join(folder, "data/berth.lock"))).toBe(false)
    const ended = await berth(["ls", "--json"])
    expect([ended.code, lastLine<Refusal>(ended.err).error.code]).toEqual([125, "CONNECTION_LOST"])
  })
})

describe("what cannot be understood is refused before anything is done", () => {
  const cases: readonly (readonly [string, readonly string[], Readonly<Record<string, string>>, RegExp])[] = [
    ["an unknown command", ["fly"], {}, /unknown command 'fly'/],
    ["an unknown option", ["ls", "--fast"], {}, /unknown option '--fast'/],
    ["no program", ["run"], {}, /FILE is missing/],
    ["a file that is not there", ["run", "nowhere.py"], {}, /nowhere\.py/],
    ["a file of no known language", ["run", "package.json"], {}, /--runtime is needed/],
    ["an unknown runtime", ["run", "hello.py", "--runtime", "cobol"], {}, /there is no runtime "cobol"/],
    ["a duration without a unit", ["run", "hello.py", "--timeout", "10"], {}, /--timeout takes a duration such as 10s/],
    ["a size that is none", ["run", "hello.py", "--memory", "much"], {}, /--memory takes a size such as 128m/],
    ["a lane that is none", ["run", "hello.py", "--lane", "fast"], {}, /--lane takes one of urgent, high, normal, low/],
    ["an image without a command", ["run", "--image", "debian:12"], {}, /--image needs a command/],
    ["a URL without a token", ["ls", "--url", "ws://127.0.0.1:1"], {}, /--url needs a token/],
    ["a port that is none", ["serve", "--port", "99999"], {}, /--port takes a whole number from 0 to 65535/],
    ["a port in the environment that is none", ["serve"], { BERTH_PORT: "http" }, /BERTH_PORT/],
    ["an executor that is none", ["serve", "--executor", "vm"], {}, /docker, process, none/],
    ["a setting out of bounds", ["serve", "--port", "0"], { BERTH_TIMEOUT_MS: "-1" }, /BERTH_TIMEOUT_MS/],
    ["a log level that is none", ["serve", "--port", "0"], { BERTH_LOG: "loud" }, /BERTH_LOG/],
    ["keys without their issuer", ["serve", "--port", "0"], { BERTH_JWKS_URL: "https://k" }, /BERTH_JWKS_ISSUER/],
  ]
  it.concurrent.each(cases)("%s", async (_, argv, env, message) => {
    await writeFile(join(folder, "package.json"), "{}")
    const data = argv[0] === "fly" ? [] : ["--data", join(folder, "refused")]
    const ended = await runCli([...argv, ...data, "--json"], { cwd: folder, env })
    const { error } = lastLine<Refusal>(ended.err)
    expect([ended.code, ended.out]).toEqual([125, ""])
    expect(error.message).toMatch(message)
    expect(error.hint).not.toBe("")
  })

  it.each([
    ["of a server", []],
    ["of a node whose broker is away, which it does not wait for", ["--nats", "nats://127.0.0.1:1"]],
  ])("a data directory that cannot be made, %s", async (_, flags) => {
    await writeFile(join(folder, "file"), "")
    const ended = await runCli(["serve", "--port", "0", "--data", join(folder, "file/data"), "--json", ...flags])
    const { error } = lastLine<Refusal>(ended.err)
    expect([ended.code, ended.out, error.code]).toEqual([125, "", "CONFIG_INVALID"])
    expect(error.message).toContain("ENOTDIR")
    expect(error.hint).toContain("--data")
  })

  it("and people are told what went wrong, then what to do about it", async () => {
    const { code, out, err } = await runCli(["run", "hello.py", "--timeout", "soon"], { cwd: folder })
    expect([code, out, err.split("\n").length]).toEqual([125, "", 3])
    expect(err).toMatch(/^berth: --timeout takes a duration .*\(INVALID_PARAMS\)\n {2}`berth help` shows/)
  })
})
