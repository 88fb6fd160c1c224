import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type CliEnded, type CliOptions, lastLine, runCli, startCli } from "../../support/cliProcess.ts"
import { runtimeImage } from "../../support/images.ts"
import { describeWithDocker } from "../../support/require.ts"
import { startServer, type ServerProcess } from "../../support/serverProcess.ts"

let folder: string
let server: ServerProcess

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-run-"))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

const file = async (name: string, text: string): Promise<string> => {
  const path = join(folder, name)
  await mkdir(join(path, ".."), { recursive: true })
  await writeFile(path, text)
  return path
}

describeWithDocker("berth run, beside a server", (engine) => {
  beforeAll(async () => {
    server = await startServer({ dataDir: join(folder, "data"), slots: 4 })
  })
  afterAll(async () => {
    await server.end("SIGTERM")
  })
  const run = (argv: readonly string[], options: CliOptions = {}): Promise<CliEnded> =>
    runCli(["run", "--data", join(folder, "data"), ...argv], options)

  it("hands output through untouched, says nothing of its own, and ends with 0", async () => {
    const path = await file("both.py", 'import sys\nprint("one\\x1b[31m")\nprint("two", file=sys.stderr)\n')
    expect(await run([path])).toEqual({ code: 0, out: "one\x1b[31m\n", err: "two\n" })
  })

  it.each([
    ["the program's own exit code", "exit 3", [], 3],
    ["128 + n for signal n", "kill -SEGV $$", [], 139],
    ["124 after the time limit", "while :; do sleep 0.1; done", ["--timeout", "500ms", "--grace", "300ms"], 124],
  ])("ends with %s", async (_, code, flags, expected) => {
    const ended = await run([await file("ends.sh", code), ...flags])
    expect([ended.code, ended.out, ended.err.replace(/^Terminated\n/, "")]).toEqual([expected, "", ""])
  })

  it("ends with 130 when somebody else cancels", async () => {
    const path = await file("long.py", 'import time\nprint("up", flush=True)\ntime.sleep(60)\n')
    const running = startCli(["run", "--data", join(folder, "data"), path, "--json", "--label", "part=cancelled"])
    await running.says("out", "up")
    const listed = await runCli(["ls", "--data", join(folder, "data"), "--label", "part=cancelled", "--json"])
    const { id } = lastLine<{ readonly id: string }>(listed.out)
    expect((await runCli(["cancel", id, "--data", join(folder, "data")])).code).toBe(0)
    const ended = await running.ended
    expect([ended.code, lastLine(ended.err).status]).toEqual([130, "cancelled"])
  })

  it("gives the result as the last line of standard error with --json", async () => {
    const path = await file("json.py", 'import sys\nprint("out")\nsys.exit(7)\n')
    const ended = await run([path, "--json"])
    expect([ended.code, ended.out, ended.err.trimEnd().split("\n").length]).toEqual([7, "out\n", 1])
    expect(lastLine(ended.err)).toMatchObject({
      status: "failed",
      reason: "exit_nonzero",
      exitCode: 7,
      ok: false,
      attempt: 1,
    })
    expect(lastLine(ended.err).task.result?.policy).toMatchObject({ network: "none", readonlyRoot: true })
  })

  it("gives the program arguments, environment and standard input", async () => {
    const text = 'import os, sys\nprint(sys.argv[1:], os.environ["ONE"], os.environ["TWO"], sys.stdin.read())\n'
    const path = await file("inputs.py", text)
    const flags = ["--arg", "a b", "--arg", "$HOME", "--env", "ONE=1 '\"", "--env", "TWO", "--stdin", "-"]
    const ended = await run([path, ...flags, "last"], { env: { TWO: "from outside" }, stdin: "typed\n" })
    expect([ended.code, ended.out]).toEqual([0, "['a b', '$HOME', 'last'] 1 '\" from outside typed\n\n"])
    const stdin = await file("input.txt", "of a file")
    expect((await run([path, "--env", "ONE=", "--env", "TWO=", "--stdin", stdin])).out).toBe("[]   of a file\n")
  })

  it("writes what the program leaves in /box/out into a folder, and never over a file that is there", async () => {
    const code = 'import os\nos.makedirs("/box/out/deep")\nopen("/box/out/deep/a.bin", "wb").write(bytes(range(256)))\n'
    const path = await file("artifacts.py", code)
    const to = join(folder, "taken")
    expect((await run([path, "--artifacts", to])).code).toBe(0)
    expect([...(await readFile(join(to, "deep/a.bin")))]).toEqual(Array.from({ length: 256 }, (_, at) => at))
    const again = await run([path, "--artifacts", to, "--json"])
    expect([again.code, lastLine<{ error: object }>(again.err).error]).toMatchObject([125, { code: "INVALID_PARAMS" }])
  })

  it("runs a folder: its main file, or the one that is named", async () => {
    await file("folder/main.py", "from part.one import name\nprint(name)\n")
    await file("folder/part/one.py", 'name = "part"\n')
    await file("folder/other.py", 'print("other")\n')
    const path = join(folder, "folder")
    expect(await run([path])).toEqual({ code: 0, out: "part\n", err: "" })
    expect(await run([path, "--entry", "other.py"])).toEqual({ code: 0, out: "other\n", err: "" })
  })

  it("runs a command in an image, without a shell in between", async () => {
    const listed = await run(["--image", await runtimeImage(engine, "bash"), "--", "echo", "$HOME", ";", "ls"])
    expect(listed).toEqual({ code: 0, out: "$HOME ; ls\n", err: "" })
  })

  it("retries, and prints what every attempt printed", async () => {
    const path = await file("again.sh", "echo try; exit 4\n")
    const ended = await run([path, "--retries", "2", "--retry-delay", "10ms", "--json"])
    expect([ended.code, ended.out, lastLine(ended.err).attempt]).toEqual([4, "try\ntry\ntry\n", 3])
  })

  it("leaves at the first Ctrl-C, says how to come back, and the task goes on", async () => {
    const path = await file("leave.py", 'import time\nprint("up", flush=True)\ntime.sleep(3)\nprint("done")\n')
    const running = startCli(["run", "--data", join(folder, "data"), path, "--label", "part=left"])
    await running.says("out", "up")
    running.child.kill("SIGINT")
    const { code, err } = await running.ended
    const [, id = ""] = /berth logs -f (\S+)/.exec(err) ?? []
    expect([code, id.length > 0]).toEqual([130, true])
    const back = await runCli(["logs", "-f", id, "--data", join(folder, "data")])
    expect([back.code, back.out]).toEqual([0, "up\ndone\n"])
  })

  it("cancels at the second Ctrl-C and stays until the task has ended", async () => {
    const path = await file("twice.py", 'import time\nprint("up", flush=True)\ntime.sleep(60)\n')
    const running = startCli(["run", "--data", join(folder, "data"), path, "--json"])
    await running.says("out", "up")
    running.child.kill("SIGINT")
    await running.says("err", "Ctrl-C again")
    running.child.kill("SIGINT")
    const ended = await running.ended
    expect([ended.code, lastLine(ended.err).status]).toEqual([130, "cancelled"])
  })
})

describeWithDocker("berth run, where there is no server", () => {
  it("is one for as long as the program runs, and leaves the directory to the next", async () => {
    const path = await file("alone.sh", "read line; echo got $line; exit 5\n")
    const argv = ["run", path, "--data", join(folder, "alone"), "--stdin", "-"]
    expect(await runCli(argv, { stdin: "this\n" })).toEqual({ code: 5, out: "got this\n", err: "" })
    expect(await runCli(argv, { stdin: "that\n" })).toEqual({ code: 5, out: "got that\n", err: "" })
  })

  it("leaves a program that runs to the next server of the directory, with all that it prints", async () => {
    const data = join(folder, "left")
    const code = "import time\nfor line in range(8):\n    print(line, flush=True)\n    time.sleep(0.4)\n"
    const running = startCli(["run", await file("lines.py", code), "--data", data])
    await running.says("out", "1\n")
    running.child.kill("SIGINT")
    const { code: exit, err } = await running.ended
    const [, id = ""] = /berth logs -f (\S+)/.exec(err) ?? []
    expect(exit).toBe(130)
    const next = await startServer({ dataDir: data, slots: 1 })
    const back = await runCli(["logs", "-f", id, "--data", data])
    expect([back.code, back.out]).toEqual([0, "0\n1\n2\n3\n4\n5\n6\n7\n"])
    expect((await next.end("SIGTERM")).code).toBe(0)
  })

  it("runs without isolation only when that is asked for by name", async () => {
    const path = await file("process.sh", "echo here; exit 6\n")
    const argv = ["run", path, "--data", join(folder, "process"), "--executor", "process", "--json"]
    const ended = await runCli(argv)
    expect([ended.code, ended.out]).toEqual([6, "here\n"])
    expect(lastLine(ended.err).task.result?.policy).toMatchObject({ isolation: "none" })
  })
})
