import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { AttemptResult } from "../../../core/task/result.ts"
import { connect } from "../../../gateway/client/index.ts"
import { type FakeHost, fakeHost, type FakeHostOptions } from "../../support/cliHost.ts"
import { settle } from "../../support/clock.ts"
import { type Door, openDoor } from "../../support/door.ts"
import { type FakeProgram, fakeProgram } from "../../support/fakeProgram.ts"

let door: Door
let folder: string
let file: string

beforeEach(async () => {
  door = await openDoor()
  folder = await mkdtemp(join(tmpdir(), "berth-cli-"))
  file = join(folder, "hello.py")
  await writeFile(file, "print('hello')\n")
})
afterEach(async () => {
  await door.close()
  await rm(folder, { recursive: true, force: true })
})

const hostOf = async (more: FakeHostOptions = {}): Promise<FakeHost> =>
  fakeHost({ server: { url: door.url, token: await door.token("ann", { role: "admin" }) }, ...more })

/** Waits for the next submit, and gives the program that was submitted. */
async function nextProgram(): Promise<FakeProgram> {
  const before = door.tasks.submitted.length
  while (door.tasks.submitted.length === before) await settle(1)
  while (door.tasks.watching() === 0) await settle(1)
  const event = door.tasks.log.findLast((each) => each.type === "state" && each.facts.includes("submitted"))
  if (event?.type !== "state") throw new Error("nothing was submitted")
  return fakeProgram(door.tasks, event.task)
}

async function runWith(host: FakeHost, argv: readonly string[], ends: Partial<AttemptResult>, print?: (program: FakeProgram) => void) {
  const code = host.run("run", file, ...argv)
  const program = await nextProgram()
  program.start()
  print?.(program)
  program.end(ends)
  return await code
}

describe("does `run` behave like the program?", () => {
  it("hands its output through untouched, says nothing of its own, and ends with its exit code", async () => {
    const host = await hostOf()
    const code = await runWith(host, [], { status: "failed", reason: "exit_nonzero", exitCode: 7 }, (program) => {
      program.print("stdout", "one\n\u001b[31mred\u0000\n")
      program.print("stderr", "oops\n")
    })
    expect([code, host.out(), host.err()]).toEqual([7, "one\n\u001b[31mred\u0000\n", "oops\n"])
  })

  it.each([
    [{ status: "completed", exitCode: 0 }, 0],
    [{ status: "failed", reason: "exit_nonzero", exitCode: 255 }, 255],
    [{ status: "failed", reason: "signal", exitCode: null, signal: "SIGSEGV" }, 139],
    [{ status: "failed", reason: "out_of_memory", exitCode: 0 }, 137],
    [{ status: "failed", reason: "compile_failed", exitCode: 2 }, 2],
    [{ status: "failed", reason: "refused", exitCode: null }, 125],
    [{ status: "timeout", reason: "deadline", exitCode: 143 }, 124],
    [{ status: "cancelled", reason: "cancelled", exitCode: 143 }, 130],
  ] satisfies [Partial<AttemptResult>, number][])("%o ends with %i", async (ends, expected) => {
    expect(await runWith(await hostOf(), [], ends)).toBe(expected)
  })

  it("with --json the last line of standard error is the result", async () => {
    const host = await hostOf()
    await runWith(host, ["--json"], { cpuMs: 12 }, (program) => program.print("stderr", "no line end"))
    expect(JSON.parse(host.lastErrLine().replace("no line end", ""))).toMatchObject({ status: "completed", cpuMs: 12, id: "task-1" })
  })

  it("at a terminal says what is going on, and at the end how it was, in one line", async () => {
    const host = await hostOf({ isTty: true })
    const code = host.run("run", file)
    const program = await nextProgram()
    program.start()
    await host.pass(host.errHas("running"))
    program.print("stdout", "no line end")
    program.end({ wallMs: 1_234, cpuMs: 300, memoryPeakBytes: 34 * 1024 * 1024 })
    expect(await code).toBe(0)
    expect(host.err().endsWith("completed · exit 0 · wall 1.2 s · cpu 300 ms · peak 34 MB · task-1\n")).toBe(true)
    expect(host.out()).toBe("no line end")
  })

  it("says how much was not kept, and how much was", async () => {
    const host = await hostOf()
    await runWith(host, ["--verbose"], {}, (program) => {
      program.print("stdout", "head")
      program.skip("stdout", 5 * 1024 * 1024)
      program.print("stdout", "tail")
    })
    expect([host.out(), host.err().split("\n")[0]]).toEqual(["headtail", "[5.0 MB of stdout were not kept]"])
  })

  it("sends what the flags say", async () => {
    await writeFile(join(folder, "in.bin"), Uint8Array.of(0xff, 0))
    const host = await hostOf({ more: { env: { TAKEN: "ours" } } })
    const flags = ["--arg", "a", "--env", "K=V=W", "--env", "TAKEN", "--label", "team=x", "--lane", "high", "--timeout", "1.5m"]
    flags.push("--memory", "128m", "--cpus", "0.5", "--retries", "2", "--stdin", join(folder, "in.bin"), "--grace", "500ms")
    await runWith(host, [...flags, "--", "-b"], {})
    expect(door.tasks.submitted[0]).toMatchObject({
      runtime: "python",
      entry: "hello.py",
      files: [{ path: "hello.py", content: "print('hello')\n" }],
      args: ["a", "-b"],
      env: { K: "V=W", TAKEN: "ours" },
      labels: { team: "x" },
      lane: "high",
      timeoutMs: 90_000,
      graceMs: 500,
      maxAttempts: 3,
      limits: { memoryBytes: 128 * 1024 * 1024, cpuMilli: 500 },
      stdin: "/wA=",
      stdinEncoding: "base64",
    })
  })

  it("runs a command in an image", async () => {
    const host = await hostOf()
    const code = host.run("run", "--image", "debian:12", "--stdin", "-", "--", "ls", "-l")
    const program = await nextProgram()
    program.start()
    program.end()
    expect(await code).toBe(0)
    expect(door.tasks.submitted[0]).toMatchObject({ image: "debian:12", command: ["ls", "-l"], stdin: "" })
  })

  it("writes artifacts into a folder, and never over or outside of anything", async () => {
    const host = await hostOf()
    const out = join(folder, "out")
    const artifact = (path: string) => ({ path, sizeBytes: 2, sha256: "", blobKey: "" })
    const artifacts = [artifact("a.txt"), artifact("deep/er/b.bin")]
    door.tasks.artifacts.set("task-1 a.txt", Buffer.from("A\n")).set("task-1 deep/er/b.bin", Uint8Array.of(0, 255))
    expect(await runWith(host, ["--artifacts", out], { artifacts })).toBe(0)
    expect(await readFile(join(out, "a.txt"), "utf8")).toBe("A\n")
    expect([...(await readFile(join(out, "deep/er/b.bin")))]).toEqual([0, 255])
    expect(door.tasks.submitted[0]?.artifacts).toBe(true)
    door.tasks.artifacts.set("task-2 ../evil", Buffer.from("x"))
    expect(await runWith(host, ["--artifacts", join(folder, "out2")], { artifacts: [artifact("../evil")] })).toBe(125)
    await expect(readFile(join(folder, "evil"))).rejects.toThrow()
  })

  it("is a server for its duration where there is none", async () => {
    const closed: string[] = []
    const token = await door.token()
    const host = fakeHost({
      more: {
        openEmbedded: async (options) => {
          const client = await connect(door.url, { token })
          closed.push(`opened ${options.executor} ${options.slots}`)
          return { client, dataDir: "/data", close: () => client.close().then(() => void closed.push("closed")) }
        },
      },
    })
    expect(await runWith(host, ["--executor", "process", "--slots", "2"], {})).toBe(0)
    expect(closed).toEqual(["opened process 2", "closed"])
  })
})

describe("what does Ctrl-C do?", () => {
  it("the first leaves the task alone and says how to return", async () => {
    const host = await hostOf()
    const code = host.run("run", file, "--json")
    const program = await nextProgram()
    program.start()
    program.print("stdout", "begun")
    while (host.out() === "") await settle(1)
    host.signal("SIGINT")
    await host.errHas("berth logs -f task-1")
    expect(await host.pass(code)).toBe(130)
    expect(JSON.parse(host.lastErrLine())).toEqual({ id: "task-1", status: "running", detached: true })
    expect(door.tasks.calls.filter((call) => call.startsWith("cancel"))).toEqual([])
  })

  it("the second cancels, and waits for the end", async () => {
    const host = await hostOf()
    const code = host.run("run", file)
    const program = await nextProgram()
    program.start()
    host.signal("SIGINT")
    await host.errHas("Ctrl-C again")
    host.signal("SIGINT")
    while (!door.tasks.calls.includes("cancel task-1")) await settle(1)
    program.end({ status: "cancelled", reason: "cancelled", exitCode: null })
    expect(await code).toBe(130)
  })

  it("the third leaves at once", async () => {
    const host = await hostOf()
    const code = host.run("run", file)
    await nextProgram()
    for (let times = 0; times < 3; times++) {
      await settle()
      host.signal("SIGINT")
    }
    expect(await code).toBe(130)
  })
})

describe("the other commands", () => {
  it("submit prints the id, and logs -f comes back to it", async () => {
    const host = await hostOf()
    expect(await host.run("submit", file, "--key", "k1")).toBe(0)
    expect(host.out()).toBe("task-1\n")
    host.clear()
    expect(await host.run("submit", file, "--key", "k1", "--json")).toBe(0)
    expect(host.outJson()).toMatchObject([{ id: "task-1", duplicate: true }])
    host.clear()
    const program = fakeProgram(door.tasks, door.tasks.log.flatMap((event) => (event.type === "state" ? [event.task] : []))[0] as never)
    const code = host.run("logs", "-f", "task-1")
    program.start()
    program.print("stdout", "out\n")
    program.print("stderr", "err\n")
    program.end({ status: "failed", reason: "exit_nonzero", exitCode: 4 })
    expect([await code, host.out(), host.err()]).toEqual([4, "out\n", "err\n"])
  })

  it("logs without -f shows what there is, of a task that ended and of one that goes on", async () => {
    const host = await hostOf()
    const program = fakeProgram(door.tasks, door.tasks.add("ann"))
    program.start()
    program.print("stdout", "so far\n")
    program.print("stderr", "aside\n")
    const code = host.run("logs", program.id, "--stream", "stdout")
    while (host.out() === "") await settle(1)
    expect([await host.pass(code), host.out(), host.err()]).toEqual([0, "so far\n", ""])
    program.end()
    host.clear()
    expect([await host.run("logs", program.id), host.out(), host.err()]).toEqual([0, "so far\n", "aside\n"])
  })

  it("ls and dlq ls are tables for people and lines for programs, escaped and within their limit", async () => {
    const host = await hostOf()
    for (let at = 0; at < 5; at++) door.tasks.add("ann", { status: at < 2 ? "failed" : "pending", phase: at < 2 ? "ended" : "queued" })
    door.tasks.add("ann", { target: "evil\u001b[2J\u202e" })
    expect(await host.run("ls", "--limit", "3")).toBe(0)
    expect(host.out()).toContain("evil\\x1b[2J\\u{202e}")
    expect(host.out().trimEnd().split("\n").length).toBe(4)
    host.clear()
    expect(await host.run("ls", "--status", "failed", "--json")).toBe(0)
    expect(host.outJson()).toMatchObject([{ id: "task-2" }, { id: "task-1" }])
    host.clear()
    expect(await host.run("dlq", "requeue", "--all")).toBe(0)
    expect(host.out()).toBe("task-2 is tried again\ntask-1 is tried again\n")
    host.clear()
    expect(await host.run("dlq", "ls", "--json")).toBe(0)
    expect(host.outJson()).toEqual([])
  })

  it("dlq show tells the end of what was printed, without letting it act on the terminal", async () => {
    const host = await hostOf()
    const program = fakeProgram(door.tasks, door.tasks.add("ann"))
    program.start()
    program.print("stderr", "Traceback\n\u001b]0;title\u0007\n")
    program.end({ status: "failed", reason: "exit_nonzero", exitCode: 1 })
    // The fake's `get` shows the task as it was added: put the end there too.
    const dead = door.tasks.add("ann", { ...program.task(), id: program.id })
    expect(await host.run("dlq", "show", dead.id)).toBe(0)
    expect(host.out()).toContain("end of stderr\n  Traceback\n  \\x1b]0;title\\x07\n")
  })

  it("cancel, kill, retry and delete go on after one that fails", async () => {
    const host = await hostOf()
    door.tasks.add("ann")
    for (const command of ["cancel", "kill", "retry", "delete"]) {
      host.clear()
      expect(await host.run(command, "nobody", "task-1", "--json")).toBe(125)
      expect(host.outJson()).toMatchObject([{ id: "task-1" }])
      expect(JSON.parse(host.lastErrLine())).toMatchObject({ id: "nobody", error: { code: "NOT_FOUND" } })
    }
  })

  it("watch shows what happens until the end, and everything of one's own until Ctrl-C", async () => {
    const host = await hostOf()
    const program = fakeProgram(door.tasks, door.tasks.add("ann"))
    const one = host.run("watch", program.id)
    program.start()
    program.print("stdout", "x\u0007\n")
    program.end()
    expect(await one).toBe(0)
    expect(host.out().split("\n").map((line) => line.trim().split("  ").at(-1))).toEqual([
      "submitted → pending, queued in lane normal",
      "started → running, running",
      "x\\x07\\n",
      "ended → completed, completed",
      "end: completed",
      "",
    ])
    host.clear()
    const all = host.run("watch", "--json", "--from", "0")
    while (host.outJson().length < 3) await settle(1)
    host.signal("SIGINT")
    expect(await all).toBe(130)
  })

  it("get, queue and system answer people and programs", async () => {
    const host = await hostOf()
    door.tasks.add("ann", { labels: { team: "a" } })
    for (const argv of [["get", "task-1"], ["queue"], ["system"]]) {
      host.clear()
      expect(await host.run(...argv)).toBe(0)
      expect(host.out().length).toBeGreaterThan(50)
      host.clear()
      expect(await host.run(...argv, "--json")).toBe(0)
      expect(host.outJson().length).toBe(1)
    }
  })
})

describe("what our own failures look like", () => {
  it.each([
    [["run", "hello.py", "--timeout", "abc"], "--timeout"],
    [["run", "hello.py", "--timeout", "10"], "--timeout"],
    [["run", "hello.py", "--memory", "lots"], "--memory"],
    [["run", "hello.py", "--cpus", "0"], "--cpus"],
    [["run", "hello.py", "--retries", "-1"], "--retries"],
    [["run", "hello.py", "--lane", "fast"], "--lane"],
    [["run", "hello.py", "--env", "=x"], "--env"],
    [["run", "hello.py", "--env", "NOT_SET_HERE"], "--env"],
    [["run", "hello.py", "--label", "noequals"], "--label"],
    [["run", "hello.py", "--start-at", "tomorrow"], "--start-at"],
    [["run", "hello.py", "--on-lost", "panic"], "--on-lost"],
    [["run", "--image", "x"], "--image"],
    [["run"], "FILE"],
    [["ls", "--limit", "0"], "--limit"],
    [["ls", "--status", "done"], "--status"],
    [["serve", "--port", "70000"], "--port"],
    [["token", "--for", "ever"], "--for"],
    [["dlq", "requeue"], "requeue"],
    [["ls", "--url", "ws://127.0.0.1:1"], "--url"],
  ])("%j names %s, and ends with 125", async (argv, path) => {
    const host = await hostOf()
    expect(await host.run(...argv, "--json")).toBe(125)
    expect(JSON.parse(host.lastErrLine())).toMatchObject({ error: { code: "INVALID_PARAMS", path, hint: expect.any(String) } })
    expect([host.out(), door.tasks.submitted]).toEqual(["", []])
  })

  it("an unknown command or flag is said on standard error, and help on standard output", async () => {
    const host = await hostOf()
    expect([await host.run("frobnicate"), await host.run("ls", "--wrong"), await host.run("get")]).toEqual([125, 125, 125])
    expect(host.err()).toContain("frobnicate")
    expect(host.err()).toContain("--wrong")
    expect(host.out()).toBe("")
    expect([await host.run("help"), await host.run("run", "--help"), await host.run("--version")]).toEqual([0, 0, 0])
    expect(host.out()).toContain("Exit codes")
  })

  it("says what to do where there is no server, and where the server is gone", async () => {
    const host = fakeHost()
    expect(await host.run("ls", "--json")).toBe(125)
    expect(JSON.parse(host.lastErrLine())).toMatchObject({ error: { code: "CONNECTION_LOST", hint: expect.stringContaining("berth serve") } })
    const gone = fakeHost({ server: { url: "ws://127.0.0.1:1", token: "t" } })
    expect(await gone.run("ls", "--json")).toBe(125)
    expect(JSON.parse(gone.lastErrLine())).toMatchObject({ error: { code: "CONNECTION_LOST" } })
  })

  it("names the field that the server refuses", async () => {
    const host = await hostOf()
    expect(await host.run("run", file, "--env", "1BAD=x", "--json")).toBe(125)
    expect(JSON.parse(host.lastErrLine())).toMatchObject({ error: { code: "INVALID_PARAMS", path: expect.stringContaining("params.env") } })
  })
})

describe("what the host does for us", () => {
  it("serve prints one line when ready, and stops with Ctrl-C", async () => {
    let stop = () => {}
    const closed = new Promise<void>((resolve) => {
      stop = resolve
    })
    const asked: unknown[] = []
    const host = fakeHost({
      more: {
        serve: async (options) => {
          asked.push(options)
          return { url: "http://127.0.0.1:7", token: "tok", pid: 42, dataDir: "/d", closed, close: async () => stop() }
        },
      },
    })
    const code = host.run("serve", "--json", "--port", "0", "--data", "/d", "--executor", "docker", "--slots", "4")
    await host.listening()
    expect(host.outJson()).toEqual([{ url: "http://127.0.0.1:7", token: "tok", pid: 42, dataDir: "/d" }])
    host.signal("SIGTERM")
    expect(await code).toBe(0)
    expect(asked).toEqual([{ dataDir: "/d", executor: "docker", slots: 4, port: 0, bind: undefined }])
  })

  it("serve never shows its token to people, whose screens are seen by others", async () => {
    const host = fakeHost({
      more: {
        serve: async () => ({
          url: "http://h",
          token: "secret-token",
          pid: 1,
          dataDir: "/d",
          closed: Promise.resolve(),
          close: async () => {},
        }),
      },
    })
    expect(await host.run("serve")).toBe(0)
    expect(host.out()).not.toContain("secret-token")
  })

  it("token, backup, restore and doctor", async () => {
    const asked: unknown[] = []
    const host = fakeHost({
      more: {
        mintToken: async (options) => {
          asked.push(options)
          return "jwt"
        },
        backup: async ({ to }) => ({ bytes: to.length }),
        restore: async () => ({ dataDir: "/restored" }),
        doctor: async () => [
          { name: "engine", verdict: "ok", detail: "20.10" },
          { name: "kernel", verdict: "fail", detail: "too old", hint: "upgrade" },
        ],
      },
    })
    expect(await host.run("token", "--owner", "bob", "--role", "user", "--lane-max", "low", "--for", "2h")).toBe(0)
    expect(asked).toEqual([{ dataDir: undefined, owner: "bob", role: "user", laneMax: "low", lifeMs: 7_200_000 }])
    expect(host.out()).toBe("jwt\n")
    host.clear()
    expect(await host.run("backup", "/to", "--json")).toBe(0)
    expect(await host.run("restore", "/from", "--json")).toBe(0)
    expect(host.outJson()).toEqual([
      { to: "/to", bytes: 3 },
      { from: "/from", dataDir: "/restored" },
    ])
    host.clear()
    expect(await host.run("doctor")).toBe(125)
    expect(host.out()).toBe("ok   engine: 20.10\nfail kernel: too old\n     upgrade\n")
  })
})
