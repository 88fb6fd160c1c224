import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type TaskFlags, taskRequest } from "../../../gateway/cli/taskFlags.ts"
import { fakeHost } from "../../support/cliHost.ts"

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-flags-"))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function request(paths: readonly string[], flags: TaskFlags = {}, words: readonly string[] = [folder]) {
  for (const path of paths) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), "x")
  }
  return taskRequest(words, flags, fakeHost().host)
}
const usage = (option: string) => expect.objectContaining({ code: "INVALID_PARAMS", path: option })

describe("which file of a folder is started?", () => {
  it.each([
    ["the runtime's main file", ["main.py", "lib/words.py", "data.txt"], {}, "main.py", "python"],
    ["the only program", ["tool.rb", "data.csv"], {}, "tool.rb", "ruby"],
    ["the one that is asked for", ["a.py", "b.py"], { entry: "b.py" }, "b.py", "python"],
    ["the main file of the runtime that is asked for", ["main.py", "main.js"], { runtime: "js" }, "main.js", "js"],
    ["the only program of the runtime that is asked for", ["a.py", "b.sh"], { runtime: "bash" }, "b.sh", "bash"],
    ["a deep one, when it is asked for", ["deep/er/x.pl"], { entry: "deep/er/x.pl" }, "deep/er/x.pl", "perl"],
  ])("%s", async (_what, paths, flags, entry, runtime) => {
    expect(await request(paths, flags)).toMatchObject({ entry, runtime })
  })

  it.each([
    ["several programs and no main file", ["a.py", "b.py"], {}],
    ["main files of two runtimes", ["main.py", "main.js"], {}],
    ["no program at all", ["data.txt"], {}],
    ["one that is not there", ["a.py"], { entry: "b.py" }],
  ])("%s: it must be said", async (_what, paths, flags) => {
    await expect(request(paths, flags)).rejects.toEqual(usage("--entry"))
  })

  it("a file of an unknown language needs its runtime, and may have any", async () => {
    const words = [join(folder, "program")]
    await expect(request(["program"], {}, words)).rejects.toEqual(usage("--runtime"))
    expect(await request(["program"], { runtime: "bash" }, words)).toMatchObject({ runtime: "bash", entry: "program" })
  })
})

describe("what else do flags make?", () => {
  it("nothing that was not asked for", async () => {
    expect(Object.keys(await request(["main.py"])).sort()).toEqual(["entry", "files", "runtime"])
  })

  it("an image's command and its arguments, and refuses what does not go with it", async () => {
    const made = await request([], { image: "debian", arg: ["-v"] }, ["ls", "-l"])
    expect(made).toEqual({ image: "debian", command: ["ls", "-l"], args: ["-v"] })
    await expect(request([], { image: "debian", runtime: "python" }, ["ls"])).rejects.toEqual(usage("--runtime"))
    await expect(request([], { image: "debian", entry: "a" }, ["ls"])).rejects.toEqual(usage("--entry"))
  })

  it("times from now or as dates, limits, and a first delay above the usual bound", async () => {
    const flags = {
      startAt: "10s",
      startBy: "2030-01-01T00:00:00Z",
      retryDelay: "5m",
      pids: "7",
      tmpfs: "1m",
      onLost: "fail",
    }
    expect(await request(["main.py"], flags)).toMatchObject({
      startAtMs: fakeHost().host.nowMs() + 10_000,
      startByMs: Date.UTC(2030, 0, 1),
      retry: { delayMsInitial: 300_000, delayMsMax: 300_000 },
      limits: { pidsMax: 7, tmpfsBytes: 1024 * 1024 },
      onLost: "fail",
    })
    expect(await request(["main.py"], { retryDelay: "2s" })).toMatchObject({ retry: { delayMsInitial: 2_000 } })
  })
})

describe("which worker is asked for?", () => {
  it("a pool and labels, each by its flag", async () => {
    const flags = { pool: "gpu", require: ["zone=eu", "disk=ssd"] }
    expect(await request(["main.py"], flags)).toMatchObject({
      pool: "gpu",
      requires: { labels: { zone: "eu", disk: "ssd" } },
    })
    await expect(request(["main.py"], { require: ["zone"] })).rejects.toEqual(usage("--require"))
  })
})
