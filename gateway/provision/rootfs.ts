import { spawn } from "node:child_process"
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { lastLine, runCommand } from "./command.ts"
import { debianSources, hasProgram, installPackages } from "./debian.ts"
import { callEngine, progressError } from "./engineClient.ts"
import type { FoundEngine } from "./engine.ts"
import { stateDir } from "./stateDir.ts"

/** What a small local image is made of. */
export interface Recipe {
  readonly packages: readonly string[]
  /** From a path in the image to a pattern that is looked up in it; the last match counts. */
  readonly links: Readonly<Record<string, string>>
}

const BOOTSTRAP_MS = 15 * 60_000
const IMPORT_MS = 5 * 60_000
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/** Nobody reads manuals in there, and some are larger than their program. */
const UNUSED = [
  "usr/share/doc",
  "usr/share/man",
  "usr/share/locale",
  "usr/share/info",
  "usr/share/lintian",
  "var/cache/apt",
  "var/lib/apt",
]

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined

/** Gives every applet of busybox a name, unless a package brought the program itself; `sh` and `tar` are among them. */
const linkApplets = async (root: string): Promise<string | null> => {
  const busybox = ["bin/busybox", "usr/bin/busybox"].map((path) => join(root, path)).find((path) => existsSync(path))
  if (busybox === undefined) return "busybox-static brought no busybox"
  const listed = await runCommand([busybox, "--list"], { timeoutMs: 10_000 })
  if (listed.code !== 0) return `busybox does not run here: ${lastLine(listed.stderr)}`
  const folders = ["bin", "usr/bin", "sbin", "usr/sbin"].map((folder) => join(root, folder))
  for (const applet of listed.stdout.trim().split("\n")) {
    if (folders.some((folder) => isThere(join(folder, applet)))) continue
    symlinkSync("busybox", join(dirname(busybox), applet))
  }
  return null
}

/** The paths below `root` that match a pattern in which `*` stands for any part of one name. */
const matches = (root: string, pattern: string): readonly string[] => {
  let paths = [root]
  for (const name of pattern.split("/").filter((part) => part !== "")) {
    const wanted = new RegExp(`^${name.replaceAll(/[.+?^$()[\]{}|\\]/g, "\\$&").replaceAll("*", ".*")}$`)
    paths = paths.flatMap((path) =>
      existsSync(path)
        ? readdirSync(path)
            .filter((entry) => wanted.test(entry))
            .map((entry) => join(path, entry))
        : [],
    )
  }
  return paths.sort()
}

/** Stands in for the alternatives that a package's own scripts would have set up. */
const linkPrograms = (root: string, links: Recipe["links"]): string | null => {
  for (const [path, pattern] of Object.entries(links)) {
    const target = matches(root, pattern).at(-1)
    if (target === undefined) return `nothing matches ${pattern}`
    if (isThere(join(root, path))) continue
    mkdirSync(dirname(join(root, path)), { recursive: true })
    symlinkSync(`/${relative(root, target)}`, join(root, path))
  }
  return null
}

const bootstrap = async (root: string, recipe: Recipe): Promise<string | null> => {
  const sources = await debianSources()
  const release = sources[0]
  if (release === undefined) return "apt has no Debian source here"
  const lines = sources.map((source) => `deb ${source.uri} ${source.suite} ${source.component}`)
  const include = `--include=${[...recipe.packages, "busybox-static"].join(",")}`
  // `extract` runs none of the packages' scripts, so it needs neither a chroot nor its mounts.
  const argv = [
    "mmdebstrap",
    "--variant=extract",
    include,
    "--format=directory",
    release.suite,
    root,
    ...lines,
  ] as const
  const result = await runCommand([...argv], { timeoutMs: BOOTSTRAP_MS, env: { LC_ALL: "C" } })
  if (result.code !== 0) return `mmdebstrap: ${lastLine(result.stderr)}`
  for (const path of UNUSED) rmSync(join(root, path), { recursive: true, force: true })
  return (await linkApplets(root)) ?? linkPrograms(root, recipe.links)
}

/** Sends a folder to the engine as an image of one layer. Returns null when all is well, else what went wrong. */
export const importFolder = async (
  engine: FoundEngine,
  folder: string,
  image: string,
  changes: readonly string[],
): Promise<string | null> => {
  const colon = image.lastIndexOf(":")
  const tar = spawn("tar", ["-C", folder, "--numeric-owner", "--owner=0", "--group=0", "-cf", "-", "."], {
    stdio: ["ignore", "pipe", "ignore"],
  })
  const ended = new Promise<number | null>((resolve) => {
    tar.once("error", () => resolve(null))
    tar.once("close", resolve)
  })
  const query: (readonly [string, string])[] = [
    ["fromSrc", "-"],
    ["repo", image.slice(0, colon)],
    ["tag", image.slice(colon + 1)],
    ...changes.map((change) => ["changes", change] as const),
  ]
  const call = { method: "POST", path: "/images/create", query, body: tar.stdout, timeoutMs: IMPORT_MS } as const
  const problem = progressError(await callEngine(engine.address, call))
  return problem ?? ((await ended) === 0 ? null : "tar could not read the image's files")
}

/**
 * Builds a local image from Debian packages: unpacked by mmdebstrap, with busybox for the usual small programs.
 * Needs root. Returns null when all is well, else what went wrong.
 */
export const buildImage = async (
  engine: FoundEngine,
  image: string,
  recipe: Recipe,
  labels: Readonly<Record<string, string>>,
): Promise<string | null> => {
  if (!hasProgram("mmdebstrap")) {
    const problem = await installPackages(["mmdebstrap"])
    if (problem !== null) return `mmdebstrap cannot be installed: ${problem}`
  }
  mkdirSync(stateDir(), { recursive: true })
  const folder = mkdtempSync(join(stateDir(), "image-"))
  try {
    const problem = await bootstrap(join(folder, "root"), recipe)
    if (problem !== null) return problem
    const marks = Object.entries(labels).map(([name, value]) => `LABEL ${name}=${value}`)
    return await importFolder(engine, join(folder, "root"), image, [`ENV PATH=${PATH}`, 'CMD ["sh"]', ...marks])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
