import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { lastLine, runCommand } from "./command.ts"
import { debianSources, findProgram } from "./debian.ts"
import type { Outcome, Reporter } from "./outcome.ts"
import { stateDir } from "./stateDir.ts"

/** A broker's server program. */
export interface FoundNats {
  readonly path: string
  readonly version: string
}

/** The two that are worth having: the newest there is, and the oldest series that is supported. */
export type NatsSeries = "newest" | "2.10"

/** Older ones lost whole streams when they were killed. */
const VERSION_MIN = "2.10.23"
/** Releases of Debian that carry the series, tried in order. */
const SUITES: Readonly<Record<NatsSeries, readonly string[]>> = {
  newest: ["sid", "trixie", "bookworm-backports"],
  "2.10": ["trixie", "bookworm-backports"],
}
const FETCH_MS = 5 * 60_000
const RELEASES = "https://github.com/nats-io/nats-server/releases"

const numbers = (version: string): readonly number[] => version.split(".").map((part) => Number.parseInt(part, 10) || 0)

/** Negative when `a` is older than `b`, positive when it is newer. */
export const compareVersions = (a: string, b: string): number => {
  const [left, right] = [numbers(a), numbers(b)]
  for (let index = 0; index < 3; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

const ask = async (path: string): Promise<FoundNats | null> => {
  const result = await runCommand([path, "--version"], { timeoutMs: 5_000 })
  const version = /v?(\d+\.\d+\.\d+)/.exec(result.stdout)?.[1]
  return result.code === 0 && version !== undefined ? { path, version } : null
}

const cacheDir = (): string => join(stateDir(), "nats")

/** Servers on PATH and in the cache that are new enough, the newest first. */
export const findNats = async (): Promise<readonly FoundNats[]> => {
  const onPath = findProgram("nats-server")
  const cached = existsSync(cacheDir())
    ? readdirSync(cacheDir())
        .map((name) => join(cacheDir(), name, "nats-server"))
        .filter((path) => existsSync(path))
    : []
  const asked = await Promise.all([...(onPath === null ? [] : [onPath]), ...cached].map(ask))
  return asked
    .filter((found) => found !== null)
    .filter((found) => compareVersions(found.version, VERSION_MIN) >= 0)
    .sort((a, b) => compareVersions(b.version, a.version))
}

/** One on PATH is enough for all but the tests, which want the oldest series beside it. */
const howToGet = (series: NatsSeries): string =>
  series === "newest"
    ? `install nats-server ${VERSION_MIN} or newer (${RELEASES}) and put it on PATH`
    : `put the nats-server of a ${series} release, ${VERSION_MIN} or newer (${RELEASES}), into a folder below ${cacheDir()}`

/** Whether a server belongs to the series. */
export const serves = (series: NatsSeries, found: FoundNats): boolean =>
  series === "newest" || found.version.startsWith(`${series}.`)

/**
 * Lets apt fetch the package of another release into folders of its own: the machine's lists and packages stay as they
 * are, and apt checks the archive's signature and the file's hash. Returns the package's path, or what went wrong.
 */
const download = async (
  folder: string,
  uri: string,
  suite: string,
): Promise<{ readonly deb: string } | { readonly problem: string }> => {
  for (const name of ["lists/partial", "cache/archives/partial", "parts"])
    mkdirSync(join(folder, name), { recursive: true })
  writeFileSync(join(folder, "sources.list"), `deb ${uri} ${suite} main\n`)
  writeFileSync(join(folder, "status"), "")
  const settings = {
    "Dir::Etc::sourcelist": join(folder, "sources.list"),
    "Dir::Etc::sourceparts": join(folder, "parts"),
    "Dir::Etc::preferencesparts": join(folder, "parts"),
    "Dir::State::lists": join(folder, "lists"),
    "Dir::State::status": join(folder, "status"),
    "Dir::Cache": join(folder, "cache"),
    "APT::Sandbox::User": "",
    "APT::Default-Release": "",
    // A machine without a network is told so soon: nobody may have asked for a broker.
    "Acquire::http::Timeout": "20",
    "Acquire::https::Timeout": "20",
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`])
  for (const command of [
    ["update", "--error-on=any"],
    ["download", "nats-server"],
  ]) {
    const result = await runCommand(["apt-get", "-q", ...options, ...command], {
      timeoutMs: FETCH_MS,
      cwd: folder,
      env: { LC_ALL: "C" },
    })
    if (result.code !== 0) return { problem: `${suite}: ${lastLine(result.stderr) || "apt-get failed"}` }
  }
  const deb = readdirSync(folder).find((name) => name.endsWith(".deb"))
  return deb === undefined ? { problem: `${suite}: apt-get brought no package` } : { deb: join(folder, deb) }
}

/** Unpacks the server of a package into the cache, under its version. */
const unpack = async (folder: string, deb: string): Promise<FoundNats | null> => {
  const root = join(folder, "root")
  const unpacked = await runCommand(["dpkg-deb", "-x", deb, root], { timeoutMs: 60_000 })
  const program = ["usr/sbin", "usr/bin"]
    .map((where) => join(root, where, "nats-server"))
    .find((path) => existsSync(path))
  if (unpacked.code !== 0 || program === undefined) return null
  const found = await ask(program)
  if (found === null || compareVersions(found.version, VERSION_MIN) < 0) return null
  const home = join(cacheDir(), found.version)
  mkdirSync(home, { recursive: true })
  renameSync(program, join(home, "nats-server"))
  return { path: join(home, "nats-server"), version: found.version }
}

const fetchSeries = async (series: NatsSeries, report: Reporter): Promise<FoundNats | string> => {
  const uri = (await debianSources())[0]?.uri
  if (uri === undefined || findProgram("dpkg-deb") === null) return howToGet(series)
  mkdirSync(cacheDir(), { recursive: true })
  const problems: string[] = []
  for (const suite of SUITES[series]) {
    report.note(`looking for nats-server in Debian's ${suite}`)
    const folder = mkdtempSync(join(stateDir(), "nats-fetch-"))
    try {
      const got = await download(folder, uri, suite)
      const found = "deb" in got ? await unpack(folder, got.deb) : null
      if (found !== null && serves(series, found)) return found
      problems.push("problem" in got ? got.problem : `${suite}: its server does not run here or is of another series`)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return `${howToGet(series)} (${problems.join("; ")})`
}

/** Finds a server of the series, or unpacks one from a Debian package without installing it. */
export const provideNats = async (series: NatsSeries, report: Reporter): Promise<Outcome> => {
  const what = series === "newest" ? "nats-server" : `nats-server ${series}`
  const there = (await findNats()).find((found) => serves(series, found))
  if (there !== undefined) return { what, status: "present", detail: `${there.version} at ${there.path}` }
  const got = await fetchSeries(series, report)
  if (typeof got === "string") return { what, status: "missing", detail: got }
  return { what, status: "made", detail: `${got.version} at ${got.path}` }
}
