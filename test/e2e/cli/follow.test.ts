import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { AttemptResult } from "../../../core/task/result.ts"
import { connect } from "../../../gateway/client/index.ts"
import { type CliDoor, openCliDoor } from "../../support/cliDoor.ts"
import { fakeHost } from "../../support/cliHost.ts"
import { settle } from "../../support/clock.ts"

let cli: CliDoor
beforeEach(async () => {
  cli = await openCliDoor()
})
afterEach(() => cli.close())

describe("does `run` behave like the program?", () => {
  it("hands its output through untouched, says nothing of its own, and ends with its exit code", async () => {
    const host = await cli.host()
    const code = await cli.run(host, [], { status: "failed", reason: "exit_nonzero", exitCode: 7 }, (program) => {
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
    expect(await cli.run(await cli.host(), [], ends)).toBe(expected)
  })

  it("says why also where nobody asked for notes when the failure is ours, and not the program's", async () => {
    const host = await cli.host()
    const ends = { status: "failed", reason: "refused", exitCode: null, message: "there is no image nope:1" } as const
    expect(await cli.run(host, [], ends)).toBe(125)
    expect(host.err()).toMatch(/^berth: failed \(refused\) · there is no image nope:1 · .*task-1\n$/)
  })

  it("with --json the last line of standard error is the result", async () => {
    const host = await cli.host()
    await cli.run(host, ["--json"], { cpuMs: 12 }, (program) => program.print("stderr", "no line end"))
    expect(JSON.parse(host.lastErrLine().replace("no line end", ""))).toMatchObject({
      status: "completed",
      cpuMs: 12,
      id: "task-1",
    })
  })

  it("at a terminal says what is going on, and at the end how it was, in one line", async () => {
    const host = await cli.host({ isTty: true })
    const code = host.run("run", cli.file)
    const program = await cli.nextProgram()
    program.start()
    await host.pass(host.errHas("running"))
    program.print("stdout", "no line end")
    program.end({ wallMs: 1_234, cpuMs: 300, memoryPeakBytes: 34 * 1024 * 1024 })
    expect(await code).toBe(0)
    expect(host.err().endsWith("completed · exit 0 · wall 1.2 s · cpu 300 ms · peak 34 MB · task-1\n")).toBe(true)
    expect(host.out()).toBe("no line end")
  })

  it("says how much was not kept, and how much was", async () => {
    const host = await cli.host()
    await cli.run(host, ["--verbose"], {}, (program) => {
      program.print("stdout", "head")
      program.skip("stdout", 5 * 1024 * 1024)
      program.print("stdout", "tail")
    })
    expect([host.out(), host.err().split("\n")[0]]).toEqual(["headtail", "[5.0 MB of stdout were not kept]"])
  })

  it("sends what the flags say", async () => {
    await writeFile(join(cli.folder, "in.bin"), Uint8Array.of(0xff, 0))
    const host = await cli.host({ more: { env: { TAKEN: "ours" } } })
    const flags = [
      "--arg",
      "a",
      "--env",
      "K=V=W",
      "--env",
      "TAKEN",
      "--label",
      "team=x",
      "--lane",
      "high",
      "--timeout",
      "1.5m",
    ]
    flags.push(
      "--memory",
      "128m",
      "--cpus",
      "0.5",
      "--retries",
      "2",
      "--stdin",
      join(cli.folder, "in.bin"),
      "--grace",
      "500ms",
    )
    await cli.run(host, [...flags, "--", "-b"], {})
    expect(cli.door.tasks.submitted[0]).toMatchObject({
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
    const host = await cli.host()
    const code = host.run("run", "--image", "debian:12", "--stdin", "-", "--", "ls", "-l")
    const program = await cli.nextProgram()
    program.start()
    program.end()
    expect(await code).toBe(0)
    expect(cli.door.tasks.submitted[0]).toMatchObject({ image: "debian:12", command: ["ls", "-l"], stdin: "" })
  })

  it("writes artifacts into a folder, and never over or outside of anything", async () => {
    const host = await cli.host()
    const out = join(cli.folder, "out")
    const artifact = (path: string) => ({ path, sizeBytes: 2, sha256: "", blobKey: "" })
    const artifacts = [artifact("a.txt"), artifact("deep/er/b.bin")]
    cli.door.tasks.artifacts.set("task-1 a.txt", Buffer.from("A\n")).set("task-1 deep/er/b.bin", Uint8Array.of(0, 255))
    expect(await cli.run(host, ["--artifacts", out], { artifacts })).toBe(0)
    expect(await readFile(join(out, "a.txt"), "utf8")).toBe("A\n")
    expect([...(await readFile(join(out, "deep/er/b.bin")))]).toEqual([0, 255])
    expect(cli.door.tasks.submitted[0]?.artifacts).toBe(true)
    cli.door.tasks.artifacts.set("task-2 ../evil", Buffer.from("x"))
    expect(await cli.run(host, ["--artifacts", join(cli.folder, "out2")], { artifacts: [artifact("../evil")] })).toBe(
      125,
    )
    await expect(readFile(join(cli.folder, "evil"))).rejects.toThrow()
  })

  it("is a server for its duration where there is none", async () => {
    const closed: string[] = []
    const token = await cli.door.token()
    const host = fakeHost({
      more: {
        openEmbedded: async (options) => {
          const client = await connect(cli.door.url, { token })
          closed.push(`opened ${options.executor} ${options.slots}`)
          return { client, dataDir: "/data", close: () => client.close().then(() => void closed.push("closed")) }
        },
      },
    })
    expect(await cli.run(host, ["--executor", "process", "--slots", "2"], {})).toBe(0)
    expect(closed).toEqual(["opened process 2", "closed"])
  })
})

describe("what does Ctrl-C do?", () => {
  it("the first leaves the task alone and says how to return", async () => {
    const host = await cli.host()
    const code = host.run("run", cli.file, "--json")
    const program = await cli.nextProgram()
    program.start()
    program.print("stdout", "begun")
    while (host.out() === "") await settle(1)
    host.signal("SIGINT")
    await host.errHas("berth logs -f task-1")
    expect(await host.pass(code)).toBe(130)
    expect(JSON.parse(host.lastErrLine())).toEqual({ id: "task-1", status: "running", detached: true })
    expect(cli.door.tasks.calls.filter((call) => call.startsWith("cancel"))).toEqual([])
  })

  it("the second cancels, and waits for the end", async () => {
    const host = await cli.host()
    const code = host.run("run", cli.file)
    const program = await cli.nextProgram()
    program.start()
    host.signal("SIGINT")
    await host.errHas("Ctrl-C again")
    host.signal("SIGINT")
    while (!cli.door.tasks.calls.includes("cancel task-1")) await settle(1)
    program.end({ status: "cancelled", reason: "cancelled", exitCode: null })
    expect(await code).toBe(130)
  })

  it("the third leaves at once", async () => {
    const host = await cli.host()
    const code = host.run("run", cli.file)
    await cli.nextProgram()
    for (let times = 0; times < 3; times++) {
      await settle()
      host.signal("SIGINT")
    }
    expect(await code).toBe(130)
  })
})
