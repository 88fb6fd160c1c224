import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { OutputGone } from "../../../gateway/cli/host.ts"
import { type CliDoor, openCliDoor } from "../../support/cliDoor.ts"
import { fakeHost } from "../../support/cliHost.ts"

let cli: CliDoor
beforeEach(async () => {
  cli = await openCliDoor()
})
afterEach(() => cli.close())

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
    const host = await cli.host()
    expect(await host.run(...argv, "--json")).toBe(125)
    expect(JSON.parse(host.lastErrLine())).toMatchObject({
      error: { code: "INVALID_PARAMS", path, hint: expect.any(String) },
    })
    expect([host.out(), cli.door.tasks.submitted]).toEqual(["", []])
  })

  it("an unknown command or flag is said on standard error, and help on standard output", async () => {
    const host = await cli.host()
    expect([await host.run("frobnicate"), await host.run("ls", "--wrong"), await host.run("get")]).toEqual([
      125, 125, 125,
    ])
    expect(host.err()).toContain("frobnicate")
    expect(host.err()).toContain("--wrong")
    expect(host.out()).toBe("")
    expect([await host.run("help"), await host.run("run", "--help"), await host.run("--version")]).toEqual([0, 0, 0])
    expect(host.out()).toContain("Exit codes")
  })

  it("says what to do where there is no server, and where the server is gone", async () => {
    const host = fakeHost()
    expect(await host.run("ls", "--json")).toBe(125)
    expect(JSON.parse(host.lastErrLine())).toMatchObject({
      error: { code: "CONNECTION_LOST", hint: expect.stringContaining("berth serve") },
    })
    const gone = fakeHost({ server: { url: "ws://127.0.0.1:1", token: "t" } })
    expect(await gone.run("ls", "--json")).toBe(125)
    expect(JSON.parse(gone.lastErrLine())).toMatchObject({ error: { code: "CONNECTION_LOST" } })
  })

  it("stops without a word when nobody reads its output any longer", async () => {
    cli.door.tasks.add("ann")
    const stdout = { isTty: false, write: () => Promise.reject(new OutputGone()) }
    const host = await cli.host({ more: { stdout } })
    expect([await host.run("ls"), host.err()]).toEqual([141, ""])
  })

  it("names the field that the server refuses", async () => {
    const host = await cli.host()
    expect(await host.run("run", cli.file, "--env", "1BAD=x", "--json")).toBe(125)
    expect(JSON.parse(host.lastErrLine())).toMatchObject({
      error: { code: "INVALID_PARAMS", path: expect.stringContaining("params.env") },
    })
  })
})
