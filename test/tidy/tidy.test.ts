import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { CODE_FOLDERS, codeOnly, ROOT, type SourceFile, sourceFiles } from "../support/sourceTree.ts"

/** A rule about code that no linter knows: what is banned, where, except where, and what to write in its place. */
interface Ban {
  readonly what: string
  readonly pattern: RegExp
  readonly within: RegExp
  readonly except?: RegExp
  readonly instead: string
  /** Text of comments and strings counts too. */
  readonly everywhere?: true
}

/** Holds the words that are banned, as patterns and as examples. */
const THIS_FILE = "test/tidy/tidy.test.ts"
const CONTROLLED = /^(core|actors|store)\//
const SYSTEM = /^actors\/system\//

const BANS: readonly Ban[] = [
  { what: "Date.now", pattern: /\bDate\.now\b/, within: CONTROLLED, except: SYSTEM, instead: "the Clock port" },
  { what: "new Date()", pattern: /\bnew Date\(\s*\)/, within: CONTROLLED, except: SYSTEM, instead: "the Clock port" },
  {
    what: "performance.now",
    pattern: /\bperformance\.now\b/,
    within: CONTROLLED,
    except: SYSTEM,
    instead: "the Clock port",
  },
  {
    what: "process.hrtime",
    pattern: /\bprocess\.hrtime\b/,
    within: CONTROLLED,
    except: SYSTEM,
    instead: "the Clock port",
  },
  { what: "Math.random", pattern: /\bMath\.random\b/, within: CONTROLLED, except: SYSTEM, instead: "the Random port" },
  {
    what: "random ids",
    pattern: /\brandom(UUID|Bytes|Int)\b/,
    within: CONTROLLED,
    // Keys and nonces that could be repeated, as the port's chance can in a test, would be worth nothing.
    except: /^actors\/system\/|^store\/shared\/keyring\.ts$/,
    instead: "the Random port",
  },
  {
    what: "setTimeout",
    pattern: /\bset(Timeout|Interval)\(/,
    within: CONTROLLED,
    except: SYSTEM,
    instead: "Effect.sleep or the Clock port",
  },
  {
    what: "process.env",
    pattern: /\bprocess\.env\b/,
    within: /./,
    except: /^(gateway\/(main|provision|cli)|test|bench)\//,
    instead: "the configuration that gateway/main resolved",
  },
  {
    what: "process.exit",
    pattern: /\bprocess\.exit\(/,
    within: /^(core|actors|store|gateway\/(server|client|protocol))\//,
    instead: "a typed error",
  },
  {
    what: "console",
    pattern: /\bconsole\.\w+\(/,
    within: /^(core|actors|store|gateway\/(server|client|protocol|provision))\//,
    instead: "the log, or the process's streams",
  },
  {
    what: "node builtins without node:",
    pattern: /\bfrom (?=["'](fs|path|os|net|http|crypto|stream|events|url|util)["'])/,
    within: /./,
    instead: "node:…",
    everywhere: true,
  },
  {
    what: "@ts-ignore",
    pattern: /@ts-(ignore|nocheck)\b/,
    within: /./,
    instead: "a type that holds",
    everywhere: true,
  },
  {
    what: "unfinished work",
    pattern: /\b(TODO|FIXME|XXX)\b/,
    within: /./,
    instead: "the work itself",
    everywhere: true,
  },
  {
    what: "skipped or lonely tests",
    pattern: /\b(it|test|describe)(\.\w+)*\.(skip|only|todo|skipIf|runIf)\b/,
    within: /^test\//,
    except: /^test\/support\/require\.ts$/,
    instead: "test/support/require.ts",
  },
]

/** Lines that break a rule, as `path:line what → instead`. */
const breaches = (files: readonly SourceFile[], ban: Ban): readonly string[] =>
  files
    .filter(({ path }) => path !== THIS_FILE && ban.within.test(path) && !ban.except?.test(path))
    .flatMap(({ path, text }) =>
      (ban.everywhere ? text : codeOnly(text))
        .split("\n")
        .flatMap((line, index) =>
          ban.pattern.test(line) ? [`${path}:${index + 1} ${ban.what} → ${ban.instead}`] : [],
        ),
    )

const files = sourceFiles()

describe("tidy", () => {
  it.each(BANS.map((ban) => [ban.what, ban] as const))("nobody uses %s where it is banned", (_, ban) => {
    expect(breaches(files, ban)).toEqual([])
  })

  it("does every ban find what it is there to find?", () => {
    const guilty = [
      "const a = Date.now()",
      "const b = new Date()",
      "const c = performance.now()",
      "const d = process.hrtime()",
      "const e = Math.random()",
      "const f = randomUUID()",
      "setTimeout(f, 1)",
      "const g = process.env.HOME",
      "process.exit(1)",
      "console.log(1)",
      'import x from "fs"',
      "// @ts-ignore",
      "// TODO",
      "it.only()",
    ]
    const found = BANS.filter((ban) => {
      const path = ban.within.test("core/x.ts") ? "core/x.ts" : "test/x.ts"
      return breaches([{ path, text: guilty.join("\n") }], ban).length === 1
    })
    expect(found.map((ban) => ban.what)).toEqual(BANS.map((ban) => ban.what))
  })

  it("holds the root the code folders and no others", () => {
    const besides = new Set(["node_modules", "dist", "coverage"])
    const folders = readdirSync(ROOT, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith(".") && !besides.has(entry.name))
      .map((entry) => entry.name)
    expect(folders.sort()).toEqual([...CODE_FOLDERS].sort())
  })

  it("is every file short, and are only few of them long?", () => {
    const lengths = files.map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
    expect(lengths.filter(({ lines }) => lines > 300)).toEqual([])
    const long = lengths.filter(({ lines }) => lines > 230)
    expect(long.length, long.map(({ path, lines }) => `${path} ${lines}`).join("\n")).toBeLessThanOrEqual(
      files.length * 0.06,
    )
  })

  it("says every file's name what is in it?", () => {
    const wellFormed = /^[a-z][A-Za-z0-9]*(\.(contract|test|contract\.test|type))?\.ts$/
    const empty = /^(utils?|helpers?|common|misc|managers?|shared|stuff)\b|(Utils?|Helpers?|Manager)\./
    const named = files.map(({ path }) => ({ path, name: path.slice(path.lastIndexOf("/") + 1) }))
    expect(named.filter(({ name }) => !wellFormed.test(name) || empty.test(name)).map(({ path }) => path)).toEqual([])
  })

  it("names nobody's machine, mirror or registry", () => {
    const texts = [
      ...files,
      ...[".md", ".json", ".mjs", ".html", ".css", ".sh"].flatMap((ending) => sourceFiles(ending)),
    ]
    const roots = readdirSync(ROOT, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
    const all = [...texts, ...roots.map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }))]
    const hosts =
      /\b(registry|index|mirror|deb|ftp|security|snapshot)[\w.-]*\.(npmjs|yarnpkg|docker|debian|ubuntu)\.(org|io|com)\b/
    const homes = /(^|[\s"'`(=])\/(home|Users|work|root)\/\w/
    const found = all.flatMap(({ path, text }) =>
      text
        .split("\n")
        .flatMap((line, index) =>
          hosts.test(line) || homes.test(line) || /"resolved":\s*"http/.test(line)
            ? [`${path}:${index + 1} ${line.trim()}`]
            : [],
        ),
    )
    expect(found).toEqual([])
  })
})

describe("the lock file", () => {
  interface Locked {
    readonly optionalDependencies?: Readonly<Record<string, string>>
  }
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, Locked>>
  }

  it("is it whole? `npm ci` refuses one that lacks a package for another platform, on every platform", () => {
    const names = new Set(Object.keys(lock.packages).map((path) => path.slice(path.lastIndexOf("node_modules/") + 13)))
    const wanted = Object.values(lock.packages).flatMap((each) => Object.keys(each.optionalDependencies ?? {}))
    expect(wanted.length).toBeGreaterThan(0)
    expect(wanted.filter((name) => !names.has(name))).toEqual([])
  })
})

describe("guarantees", () => {
  /** `EL1`, `Q3`: one or more letters and a number, at the start of a list item or of a title. */
  const cited = (text: string, pattern: RegExp): readonly string[] =>
    [...text.matchAll(pattern)].flatMap((match) => match[1] ?? [])
  const promised = files
    .filter(({ path }) => path.startsWith("core/ports/"))
    .flatMap(({ text }) => cited(text, /^\s*\*\s+([A-Z]{1,3}\d+)\.\s/gm))
  const tested = files
    .filter(({ path }) => path.startsWith("test/contract/"))
    .flatMap(({ text }) => cited(text, /\b(?:it|test|effect|live|scoped|prop)\(\s*["'`]([A-Z]{1,3}\d+)\b/g))

  it("has every guarantee of a port a contract test that cites it?", () => {
    expect(promised.length).toBeGreaterThan(0)
    expect(promised.filter((guarantee) => !tested.includes(guarantee))).toEqual([])
  })

  it("cites every contract test a guarantee that a port gives?", () => {
    expect(tested.filter((guarantee) => !promised.includes(guarantee))).toEqual([])
  })

  it("is no number given twice?", () => {
    expect(promised.filter((guarantee, index) => promised.indexOf(guarantee) !== index)).toEqual([])
  })
})
