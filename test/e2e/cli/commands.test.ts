import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { DoctorLine } from "../../../gateway/cli/host.ts"
import { type CliDoor, openCliDoor } from "../../support/cliDoor.ts"
import { fakeHost } from "../../support/cliHost.ts"
import { settle } from "../../support/clock.ts"
import { fakeProgram } from "../../support/fakeProgram.ts"
import { until } from "../../support/until.ts"

let cli: CliDoor
beforeEach(async () => {
  cli = await openCliDoor()
})
afterEach(() => cli.close())

describe("the other commands", () => {
  it("submit prints the id, and logs -f comes back to it", async () => {
    const host = await cli.host()
    expect(await host.run("submit", cli.file, "--key", "k1")).toBe(0)
    expect(host.out()).toBe("task-1\n")
    host.clear()
    expect(await host.run("submit", cli.file, "--key", "k1", "--json")).toBe(0)
    expect(host.outJson()).toMatchObject([{ id: "task-1", duplicate: true }])
    host.clear()
    const program = fakeProgram(
      cli.door.tasks,
      cli.door.tasks.log.flatMap((event) => (event.type === "state" ? [event.task] : []))[0] as never,
    )
    const code = host.run("logs", "-f", "task-1")
    program.start()
    program.print("stdout", "out\n")
    program.print("stderr", "err\n")
    program.end({ status: "failed", reason: "exit_nonzero", exitCode: 4 })
    expect([await code, host.out(), host.err()]).toEqual([4, "out\n", "err\n"])
  })

  it("logs without -f shows what there is, of a task that ended and of one that goes on", async () => {
    const host = await cli.host()
    const program = fakeProgram(cli.door.tasks, cli.door.tasks.add("ann"))
    program.start()
    program.print("stdout", "so far\n")
    program.print("stderr", "aside\n")
    // No timer of the host ever fires here: nothing but the server's word ends it.
    const code = await host.run("logs", program.id, "--stream", "stdout")
    expect([code, host.out(), host.err()]).toEqual([0, "so far\n", ""])
    program.end()
    host.clear()
    expect([await host.run("logs", program.id), host.out(), host.err()]).toEqual([0, "so far\n", "aside\n"])
  })

  it("ls and dlq ls are tables for people and lines for programs, escaped and within their limit", async () => {
    const host = await cli.host()
    for (let at = 0; at < 5; at++)
      cli.door.tasks.add("ann", { status: at < 2 ? "failed" : "pending", phase: at < 2 ? "ended" : "queued" })
    cli.door.tasks.add("ann", { target: "evil\u001b[2J\u202e" })
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
    const host = await cli.host()
    const program = fakeProgram(cli.door.tasks, cli.door.tasks.add("ann"))
    program.start()
    program.print("stderr", "Traceback\n\u001b]0;title\u0007\n")
    program.end({ status: "failed", reason: "exit_nonzero", exitCode: 1 })
    // The fake's `get` shows the task as it was added: put the end there too.
    const dead = cli.door.tasks.add("ann", { ...program.task(), id: program.id })
    expect(await host.run("dlq", "show", dead.id)).toBe(0)
    expect(host.out()).toContain("end of stderr\n  Traceback\n  \\x1b]0;title\\x07\n")
  })

  it("cancel, kill, retry and delete go on after one that fails", async () => {
    const host = await cli.host()
    cli.door.tasks.add("ann")
    for (const command of ["cancel", "kill", "retry", "delete"]) {
      host.clear()
      expect(await host.run(command, "nobody", "task-1", "--json")).toBe(125)
      expect(host.outJson()).toMatchObject([{ id: "task-1" }])
      expect(JSON.parse(host.lastErrLine())).toMatchObject({ id: "nobody", error: { code: "NOT_FOUND" } })
    }
  })

  it("watch shows what happens until the end, and everything of one's own until Ctrl-C", async () => {
    const host = await cli.host()
    const program = fakeProgram(cli.door.tasks, cli.door.tasks.add("ann"))
    const one = host.run("watch", program.id)
    program.start()
    program.print("stdout", "x\u0007\n")
    program.end()
    expect(await one).toBe(0)
    expect(
      host
        .out()
        .split("\n")
        .map((line) => line.trim().split("  ").at(-1)),
    ).toEqual([
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

  it("worker ls shows who is there, worker drain asks one, and an unknown one is said", async () => {
    const host = await cli.host()
    expect(await host.run("worker", "ls")).toBe(0)
    expect(host.out()).toMatch(/w1 +host +default +1 +4 +accepting +zone=eu/)
    host.clear()
    expect([await host.run("worker", "drain", "w1"), host.out()]).toEqual([0, "w1 starts nothing more and holds 1\n"])
    host.clear()
    expect([await host.run("worker", "drain", "w1", "--undo"), host.out()]).toEqual([0, "w1 takes work again\n"])
    expect(cli.door.tasks.calls.filter((call) => call.startsWith("drain"))).toEqual(["drain w1 true", "drain w1 false"])
    host.clear()
    expect(await host.run("worker", "drain", "w9")).toBe(125)
    expect(host.err()).toContain("NOT_FOUND")
  })

  it("system says who keeps the level of records from being raised", async () => {
    const host = await cli.host()
    expect(await host.run("system")).toBe(0)
    expect(host.out()).toMatch(
      /^records +level 1, this node reads up to 2, held back by n7 \(gateway, leader 0\.0\.0 on h1\)$/m,
    )
  })

  it("get, queue and system answer people and programs", async () => {
    const host = await cli.host()
    cli.door.tasks.add("ann", { labels: { team: "a" } })
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
    await until(() => host.outJson().length > 0)
    expect(host.outJson()).toEqual([{ url: "http://127.0.0.1:7", token: "tok", pid: 42, dataDir: "/d" }])
    host.signal("SIGTERM")
    expect(await code).toBe(0)
    expect(asked).toMatchObject([{ dataDir: "/d", executor: "docker", slots: 4, port: 0, bind: undefined }])
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
    const worse: DoctorLine[] = []
    const host = fakeHost({
      more: {
        mintToken: async (options) => {
          asked.push(options)
          return "jwt"
        },
        backup: async ({ to }) => ({ bytes: to.length }),
        restore: async () => ({ dataDir: "/restored" }),
        doctor: async () => [
          { kind: "floor", name: "engine", verdict: "ok", detail: "20.10" },
          { kind: "attack", name: "keys", verdict: "ok", detail: "contained" },
          ...worse,
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
    expect(await host.run("doctor")).toBe(0)
    expect(host.out()).toBe("ok   engine: 20.10\nok   attack: keys: contained\n")
    host.clear()
    worse.push({ kind: "floor", name: "kernel", verdict: "fail", detail: "too old", hint: "upgrade" })
    expect(await host.run("doctor")).toBe(2)
    expect(host.out()).toMatch(/\nfail kernel: too old\n {5}upgrade\n$/)
    worse.unshift({ kind: "attack", name: "mounts", verdict: "fail", detail: "mount" })
    expect(await host.run("doctor", "--json")).toBe(1)
  })
})
