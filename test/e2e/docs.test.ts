import { existsSync, readFileSync } from "node:fs"
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { SETTINGS, variableName } from "../../core/config.ts"
import { RUNTIMES } from "../../core/runtime/catalogue.ts"
import { RESERVED_FIELDS } from "../../core/task/request.ts"
import { PHASES, STATUSES } from "../../core/words.ts"
import { runCli } from "../../gateway/cli/index.ts"
import { openRpcDocument } from "../../gateway/protocol/openrpc.ts"
import { EXIT } from "../../gateway/cli/exitCode.ts"
import { fakeHost } from "../support/cliHost.ts"
import { runIn } from "../support/emptyProject.ts"
import { fenceMarked, fencesOf, linksOf, readDoc, tableAfter } from "../support/markdown.ts"
import { ROOT } from "../support/sourceTree.ts"

const DOCS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
const README = readDoc("README.md")
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>
}

/** Words in single backquotes. */
const quoted = (text: string): readonly string[] => [...text.matchAll(/`([^`\n]+)`/g)].map(([, word = ""]) => word)
const bare = (cell: string): string => cell.replaceAll("`", "")

describe("what the documents name", () => {
  it.each(DOCS)("%s links to nothing that is not there", (name) => {
    expect(linksOf(readDoc(name)).filter((target) => !existsSync(join(ROOT, target)))).toEqual([])
  })

  it.each(DOCS)("%s names no file or folder that is not there", (name) => {
    const ours = /^(core|actors|store|gateway|test|bench|\.ci)\/[\w./-]*$|^[\w.-]+\.(mjs|json)$/
    const named = quoted(readDoc(name)).filter((word) => ours.test(word))
    expect(named.length).toBeGreaterThan(0)
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })

  it.each(DOCS)("%s names no npm script that is not there", (name) => {
    const named = [...readDoc(name).matchAll(/npm run (?:-s )?([a-z][a-z:]*)/g)].map(([, script = ""]) => script)
    expect(named.filter((script) => manifest.scripts[script] === undefined)).toEqual([])
  })

  it("the lines that decide are in the files that ARCHITECTURE.md says", () => {
    const rows = tableAfter(readDoc("ARCHITECTURE.md"), "## Where is the line that decides")
    expect(rows.length).toBeGreaterThan(15)
    const missing = rows.filter(([, file = "", name = ""]) => {
      const text = readFileSync(join(ROOT, bare(file)), "utf8")
      return !new RegExp(`(function|const|class) ${bare(name)}\\b`).test(text)
    })
    expect(missing).toEqual([])
  })
})

describe("what the README says of the program", () => {
  it("opens with the two commands, and nothing else", () => {
    expect(README.startsWith("```sh\nnpm ci && npm run demo\nnpm ci && npm test\n```\n")).toBe(true)
  })

  it("lists all settings, with their meaning, default and bounds", () => {
    const shown = (value: number) => value.toLocaleString("en-US")
    const expected = Object.entries(SETTINGS).map(([key, { help, max, min, value }]) => [
      `\`${variableName(key)}\``,
      `\`${key}\``,
      help,
      shown(value),
      `${shown(min)} to ${shown(max)}`,
    ])
    expect(tableAfter(README, "<!-- settings -->")).toEqual(expected)
  })

  it("names the variables that are read, and no others", () => {
    const read = [
      "core/config.ts",
      "gateway/main/cliHost.ts",
      "gateway/main/clusterChoice.ts",
      "gateway/main/secretsKeys.ts",
      "gateway/main/registries.ts",
      "gateway/main/paths.ts",
      "gateway/cli/session.ts",
    ]
      .map((path) => readFileSync(join(ROOT, path), "utf8"))
      .flatMap((text) => [...text.matchAll(/\bBERTH_[A-Z_]+/g)].map(([name]) => name))
    const known = new Set([...read, ...Object.keys(SETTINGS).map(variableName)])
    const told = new Set([...README.matchAll(/\bBERTH_[A-Z_]+/g)].map(([name]) => name))
    expect([...told].filter((name) => !known.has(name))).toEqual([])
    expect([...known].filter((name) => !told.has(name))).toEqual([])
  })

  it("has gateways of a cluster listen to, and answer under, the names that it tells clients", () => {
    const [example = ""] = fencesOf(README)
      .map(({ text }) => text)
      .filter((text) => /^berth serve .*--role gateway/m.test(text))
    expect(example).toMatch(/^berth serve .*--role gateway.* --bind 0\.0\.0\.0$/m)
    const [, hosts = ""] = /BERTH_HOSTS=(\S+)/.exec(example) ?? []
    const told = [...README.matchAll(/ws:\/\/([a-z0-9]+):7411/g)].map(([, name = ""]) => name)
    expect(told.length).toBeGreaterThan(1)
    expect(told.filter((name) => !hosts.split(",").includes(name))).toEqual([])
  })

  it("lists the methods of the interface as it describes itself", () => {
    const { methods } = openRpcDocument("0.0.0") as { readonly methods: readonly { name: string; summary: string }[] }
    const listed = tableAfter(README, "described by `rpc.discover`")
    expect(listed).toEqual(methods.map(({ name, summary }) => [`\`${name}\``, summary]))
  })

  it("lists statuses, phases, languages and reserved fields as they are", () => {
    expect(tableAfter(README, "## The life of a task").map(([status = ""]) => bare(status))).toEqual([...STATUSES])
    const [, phases = ""] = /The `phase` says more:([^.]*)\./.exec(README) ?? []
    expect(quoted(phases)).toEqual([...PHASES])
    const [, languages = ""] = /Languages: ([^.]*)\./.exec(README) ?? []
    expect(languages.split(/,\s+/)).toEqual(RUNTIMES.map((runtime) => runtime.name))
    const [, reserved = ""] = /\(([^)]*) are answered with `NOT_YET`\)/.exec(README) ?? []
    expect(new Set(quoted(reserved))).toEqual(new Set(RESERVED_FIELDS))
  })
})

describe("the examples", () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "berth-docs-"))
    await mkdir(join(folder, "folder"))
    for (const name of ["hello.py", "folder/main.py"]) await writeFile(join(folder, name), "print(1)\n")
  })
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  const commands = fencesOf(README)
    .filter((fence) => fence.language === "sh")
    .flatMap((fence) => fence.text.split("\n"))
    .map((line) => line.replace(/^npm run -s berth --/, "berth"))
    .filter((line) => line.startsWith("berth "))

  it("hold every command of the command line", async () => {
    const host = fakeHost()
    await host.run("help")
    const declared = [...host.out().matchAll(/^ {2}([a-z]+)/gm)].map(([, name = ""]) => name)
    const shown = new Set(commands.map((line) => line.split(" ")[1]))
    expect(declared.filter((name) => name !== "help" && !shown.has(name))).toEqual([])
  })

  it.each(commands)("%s is understood by the command line", async (line) => {
    const words = line.split(/\s+/).slice(1)
    const argv = words.map((word) => (/^(\.\/(folder|out)|hello\.py)$/.test(word) ? join(folder, word) : word))
    // A host that can do nothing: whoever comes to ask it has understood all words.
    const host = fakeHost({ more: unreachable })
    const code = await runCli(argv, host.host)
    expect(host.err()).not.toContain("INVALID_PARAMS")
    if (host.err() === "") expect(code).toBe(EXIT.ok)
    else expect(host.err()).toMatch(/reached|CONNECTION_LOST|this host has no/)
  })

  it("of CONTRIBUTING.md runs and is green", async () => {
    const text = fenceMarked(readDoc("CONTRIBUTING.md"), "checked-source").text
    await writeFile(join(folder, "example.test.ts"), text.replaceAll('"./', `"${ROOT}/`))
    await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"))
    const vitest = join(ROOT, "node_modules/vitest/vitest.mjs")
    const said = await runIn(folder, process.execPath, [vitest, "run", "--root", folder, "--reporter=json"])
    expect(JSON.parse(said)).toMatchObject({ numPassedTests: 1, numTotalTests: 1, success: true })
  })

  it("of the README are run and compiled where the package is installed", () => {
    // test/e2e/packaging.test.ts does that; here is only made sure that it finds one of each.
    for (const mark of ["runnable", "output", "checked"]) expect(fenceMarked(README, mark).text).not.toBe("")
  })
})

const reached = () => Promise.reject(new Error("reached"))
const unreachable = {
  locate: reached,
  openEmbedded: reached,
  serve: reached,
  mintToken: reached,
  rotateSecretsKey: reached,
  backup: reached,
  restore: reached,
  doctor: reached,
}
