import { execFile } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { CODE_FOLDERS, ROOT, sourceFiles } from "../support/sourceTree.ts"

interface CruiseResult {
  readonly summary: {
    readonly totalCruised: number
    readonly violations: readonly {
      readonly rule: { readonly name: string }
      readonly from: string
      readonly to: string
    }[]
  }
  readonly modules: readonly { readonly source: string }[]
}

const run = promisify(execFile)

/** Runs the real rules over the code folders below `root`. */
const cruise = async (root: string): Promise<CruiseResult> => {
  const program = join(ROOT, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs")
  const args = [program, "--config", ".dependency-cruiser.mjs", "--output-type", "json", ...CODE_FOLDERS]
  const options = { cwd: root, maxBuffer: 64 * 1024 * 1024 }
  // A violation is an exit code, and the answer is on stdout all the same.
  const { stdout } = await run(process.execPath, args, options).catch((error: { readonly stdout: string }) => error)
  return JSON.parse(stdout) as CruiseResult
}

/** For each rule one file that breaks it: where it lies, and what it imports. Paths are relative to the root. */
const PLANTED: Readonly<Record<string, readonly [file: string, imported: string]>> = {
  "core-sees-itself": ["core/planted1.ts", "../store/memory/harmless.ts"],
  "store-sees-only-its-own": ["store/memory/planted2.ts", "../../actors/harmless.ts"],
  "actors-sees-only-its-own": ["actors/planted3.ts", "../store/memory/harmless.ts"],
  "gateway-protocol-sees-only-its-own": ["gateway/protocol/planted4.ts", "../client/harmless.ts"],
  "gateway-server-sees-only-its-own": ["gateway/server/planted5.ts", "../../actors/harmless.ts"],
  "gateway-client-sees-only-its-own": ["gateway/client/planted6.ts", "../server/harmless.ts"],
  "gateway-cli-sees-only-its-own": ["gateway/cli/planted7.ts", "../server/harmless.ts"],
  "gateway-dashboard-sees-only-its-own": ["gateway/dashboard/planted8.ts", "../../actors/api.ts"],
  "gateway-provision-sees-only-its-own": ["gateway/provision/planted9.ts", "../client/harmless.ts"],
  "gateway-demo-sees-only-its-own": ["gateway/demo/planted10.ts", "../../actors/harmless.ts"],
  "gateway-main-sees-only-its-own": ["gateway/main/planted11.ts", "../../bench/harmless.ts"],
  "nobody-needs-demo": ["gateway/main/planted12.ts", "../demo/harmless.ts"],
  "core-is-pure": ["core/planted13.ts", "node:fs"],
  "core-knows-two-libraries": ["core/planted14.ts", "ws"],
  "adapters-do-not-meet": ["store/sqlite/planted15.ts", "../memory/harmless.ts"],
  "client-runs-in-a-browser": ["gateway/client/planted16.ts", "node:fs"],
  "browser-entry-never-reaches-node": ["gateway/client/browser.ts", "./index.ts"],
  "natsio-is-confined": ["store/memory/planted17.ts", "@nats-io/jetstream"],
  "sqlite3-is-confined": ["actors/planted18.ts", "sqlite3"],
  "dockerode-is-confined": ["actors/executor/process/planted19.ts", "dockerode"],
  "ws-is-confined": ["gateway/cli/planted20.ts", "ws"],
  "no-cycles": ["core/planted21.ts", "./planted21.ts"],
  "no-orphans": ["actors/planted22.ts", ""],
  "production-never-imports-tests": ["actors/planted23.ts", "../test/support/harmless.ts"],
  "production-ships-what-it-imports": ["actors/planted24.ts", "vitest"],
  "everything-resolves": ["core/planted25.ts", "./gone.ts"],
}

const HARMLESS = ["store/memory", "actors", "gateway/client", "gateway/server", "gateway/demo", "bench", "test/support"]

let planted = ""

beforeAll(() => {
  planted = mkdtempSync(join(tmpdir(), "berth-dependencies-"))
  for (const name of [".dependency-cruiser.mjs", "package.json", "tsconfig.json"])
    cpSync(join(ROOT, name), join(planted, name))
  symlinkSync(join(ROOT, "node_modules"), join(planted, "node_modules"))
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(planted, path)), { recursive: true })
    writeFileSync(join(planted, path), text)
  }
  for (const folder of HARMLESS) put(`${folder}/harmless.ts`, "export const harmless = 1\n")
  put("actors/api.ts", "export type Api = number\n")
  put("gateway/client/index.ts", 'import "ws"\n')
  for (const [file, imported] of Object.values(PLANTED))
    put(file, imported === "" ? "export {}\n" : `import type * as x from "${imported}"\nexport type X = typeof x\n`)
})

afterAll(() => rmSync(planted, { recursive: true, force: true }))

describe("dependency rules", () => {
  it("hold in the whole tree, and every file was looked at", async () => {
    const result = await cruise(ROOT)
    expect(result.summary.violations.map(({ from, rule, to }) => `${rule.name}: ${from} → ${to}`)).toEqual([])
    const seen = new Set(result.modules.map((module) => module.source))
    expect(sourceFiles().filter(({ path }) => !seen.has(path))).toEqual([])
  })

  it("bite: each finds the violation that was planted for it, and no rule is without one", async () => {
    const config = (await import(join(ROOT, ".dependency-cruiser.mjs"))) as {
      readonly default: { readonly forbidden: readonly { readonly name: string }[] }
    }
    expect(Object.keys(PLANTED).sort()).toEqual(config.default.forbidden.map((rule) => rule.name).sort())
    const result = await cruise(planted)
    const found = new Set(result.summary.violations.map(({ from, rule }) => `${rule.name}: ${from}`))
    const missed = Object.entries(PLANTED).filter(([rule, [file]]) => !found.has(`${rule}: ${file}`))
    expect(missed).toEqual([])
  })
})
