import { existsSync, readFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import { lastLine, runCommand, type CommandResult } from "./command.ts"

/** One of the distribution's own package sources, as this machine's apt is set up to use it. */
export interface AptSource {
  readonly uri: string
  readonly suite: string
  readonly component: string
}

const APT_MS = 10 * 60_000
const APT_OPTIONS = ["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30"]
/** Administrators' folders are not always on the path of a user's shell. */
const ADMIN_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"]

/** Whether this machine is a Debian, not one of the distributions made from it. */
export const isDebian = (osRelease = "/etc/os-release"): boolean =>
  existsSync(osRelease) && /^ID=("?)debian\1$/m.test(readFileSync(osRelease, "utf8"))

/** Whether packages can be installed here without asking anybody. */
export const isDebianRoot = (): boolean => process.getuid?.() === 0 && isDebian()

/** The path of a program, or null. */
export const findProgram = (name: string): string | null =>
  [...(process.env["PATH"] ?? "").split(delimiter), ...ADMIN_FOLDERS]
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path)) ?? null

export const hasProgram = (name: string): boolean => findProgram(name) !== null

const apt = (args: readonly string[]): Promise<CommandResult> =>
  runCommand(["apt-get", ...APT_OPTIONS, ...args], {
    timeoutMs: APT_MS,
    env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
  })

let updated: Promise<CommandResult> | null = null

/** Fetches the lists of packages, once in the life of this process. A source that does not answer is not fatal: others may do. */
export const updateLists = (): Promise<CommandResult> => {
  updated ??= apt(["update", "-q"])
  return updated
}

/** Installs packages without their recommendations; null when all is well, else what apt said last. */
export const installPackages = async (names: readonly string[]): Promise<string | null> => {
  await updateLists()
  const result = await apt(["install", "-y", "-q", "--no-install-recommends", ...names])
  return result.code === 0 ? null : lastLine(result.stderr) || lastLine(result.stdout)
}

/** Reads the lines that {@link debianSources} asks apt for. Lists of other vendors are left out. */
export const parseSources = (text: string): readonly AptSource[] => {
  const sources: AptSource[] = []
  for (const line of text.split("\n")) {
    const [origin, uri, suite, component] = line.split("|")
    if (origin !== "Debian" || !uri || !suite || !component) continue
    if (sources.some((known) => known.uri === uri && known.suite === suite && known.component === component)) continue
    sources.push({ uri, suite, component })
  }
  return sources
}

const askSources = async (): Promise<readonly AptSource[]> => {
  const format = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)"
  const argv = ["apt-get", "indextargets", "--format", format, "Created-By: Packages"] as const
  const result = await runCommand(argv, { timeoutMs: 30_000 })
  return parseSources(result.stdout)
}

/**
 * The distribution's sources on this machine, the release itself first. They are read from apt, so that a mirror that
 * was configured is the one that is used. Empty when there is none.
 */
export const debianSources = async (): Promise<readonly AptSource[]> => {
  let sources = await askSources()
  if (sources.length === 0) {
    await updateLists()
    sources = await askSources()
  }
  const isRelease = (source: AptSource) => !source.suite.includes("-")
  return [...sources.filter(isRelease), ...sources.filter((source) => !isRelease(source))]
}
