import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { installPacked, linkNodeTypes, type Packed, runIn } from "../support/emptyProject.ts"
import { fenceMarked, readDoc } from "../support/markdown.ts"
import { describeWithDocker } from "../support/require.ts"
import { ROOT } from "../support/sourceTree.ts"

let folder: string
let packed: Packed

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-packed-"))
  packed = await installPacked(folder)
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

const runFile = async (name: string, text: string): Promise<string> => {
  await writeFile(join(folder, name), text)
  return runIn(folder, process.execPath, [name])
}

/** What somebody writes who has read the declarations and nothing else. */
const TYPED = `
import { Berth, BerthError, type ErrorCode, type RunOutcome, type SubmitRequest, type TaskEvent } from "berth"
import { BerthClient, connect, type TaskHandle, type TaskOutcome } from "berth/client"

export async function main(): Promise<RunOutcome> {
  const berth: Berth = await Berth.open({ handlers: { add: (input, context) => [input, context.attempt] }, executor: "none" })
  const request: SubmitRequest = { handler: "add", input: 1, lane: "high" }
  const handle: TaskHandle = await berth.submit(request)
  for await (const event of handle.events()) {
    const known: TaskEvent = event
    if (known.type === "output") known.bytes.byteLength satisfies number
  }
  const outcome: TaskOutcome = await handle.result()
  if (outcome.status === "failed") outcome.reason satisfies string | null
  await berth.close()
  return berth.run(request)
}

export const remote = (): Promise<BerthClient> => connect("ws://127.0.0.1:7411", { token: "t" })
export const codeOf = (error: unknown): ErrorCode | null => (error instanceof BerthError ? error.code : null)

// @ts-expect-error there is no such lane
export const wrong: SubmitRequest = { handler: "add", lane: "fast" }
`

const TSCONFIG = {
  compilerOptions: {
    target: "es2022",
    module: "nodenext",
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: ["node"],
  },
  include: ["*.ts"],
}

describe("the package", () => {
  it("holds what is run and declared, and neither tests nor sources", () => {
    const paths = packed.files.map((file) => file.path)
    const wanted = [
      "package.json",
      "README.md",
      "LICENSE",
      "ARCHITECTURE.md",
      "dist/gateway/main/index.js",
      "dist/gateway/main/index.d.ts",
      "dist/gateway/main/berth.js",
      "dist/gateway/client/browser.js",
    ]
    expect(wanted.filter((path) => !paths.includes(path))).toEqual([])
    const strange = paths.filter(
      (path) => /^(test|bench|coverage)\//.test(path) || /(?<!\.d)\.ts$|\.map$|\.db$/.test(path),
    )
    expect(strange).toEqual([])
  })

  it("can be imported from JavaScript: the library, the client, and nothing beside them", async () => {
    const text = `
      import { Berth, BerthError } from "berth"
      import { BerthClient, connect } from "berth/client"
      const hidden = await import("berth/dist/gateway/main/server.js").catch((error) => error.code)
      console.log([Berth.open, BerthError, BerthClient, connect].map((each) => typeof each).join(), hidden)
    `
    expect(await runFile("imports.js", text)).toBe(
      "function,function,function,function ERR_PACKAGE_PATH_NOT_EXPORTED\n",
    )
  })

  it("runs handlers where there is no engine", async () => {
    const text = `
      import { Berth } from "berth"
      const berth = await Berth.open({ dataDir: "./data", executor: "none", handlers: { double: (input) => input * 2 } })
      console.log((await berth.run({ handler: "double", input: 21 })).value)
      await berth.close()
    `
    expect(await runFile("handlers.js", text)).toBe("42\n")
  })

  it("can be imported from TypeScript: all declarations are there and say what is so", async () => {
    await linkNodeTypes(folder)
    await writeFile(join(folder, "typed.ts"), TYPED)
    await writeFile(join(folder, "readme.ts"), fenceMarked(readDoc("README.md"), "checked").text)
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(TSCONFIG))
    const compiler = join(ROOT, "node_modules/typescript/bin/tsc")
    const said = await runIn(folder, process.execPath, [compiler, "-p", "."]).catch(
      (error: { stdout: string }) => error.stdout,
    )
    expect(said).toBe("")
  })

  it("brings the command", async () => {
    const said = await runIn(folder, join(folder, "node_modules/.bin/berth"), ["--version"])
    expect(said.trim()).toMatch(/^\d+\.\d+\.\d+/)
  })
})

describeWithDocker("the README's embedding example", () => {
  it("prints what the README says that it prints", async () => {
    const readme = readDoc("README.md")
    const printed = await runFile("embedding.mjs", fenceMarked(readme, "runnable").text)
    expect(printed).toBe(fenceMarked(readme, "output").text)
  })
})
