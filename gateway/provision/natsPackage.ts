import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { lastLine, runCommand } from "./command.ts"
import { debianSources, findProgram, isDebian } from "./debian.ts"
import { askNats, cacheDir, compareVersions, type FoundNats, type NatsSeries, serves, VERSION_MIN } from "./nats.ts"
import type { Reporter } from "./outcome.ts"
import { stateDir } from "./stateDir.ts"

/** Releases of Debian that carry the series, tried in order. */
const SUITES: Readonly<Record<NatsSeries, readonly string[]>> = {
  newest: ["sid", "trixie", "bookworm-backports"],
  "2.10": ["trixie", "bookworm-backports"],
}
const FETCH_MS = 5 * 60_000
/** What apt says in English of a mirror, or of the proxy before it, that did not answer at all. */
const UNREACHABLE =
  /could not resolve|(?:failure|error|happened) resolving|(?:could not|unable to) connect|cannot initiate|connection (?:failed|timed out)/i

/** Why no server came of a package. */
export interface Problem {
  readonly problem: string
  /** Whether the mirror did not answer; then there is no sense in asking it for anything else. */
  readonly isOffline: boolean
}

/**
 * Lets apt fetch the package of another release into folders of its own: the machine's lists and packages stay as they
 * are, and apt checks the archive's signature and the file's hash. Returns the package's path, or what went wrong.
 */
const download = async (folder: string, uri: string, suite: string): Promise<{ readonly deb: string } | Problem> => {
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
    "Acquire::Retries": "0",
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
    if (result.code === 0) continue
    const offline = result.stderr.split("\n").find((line) => UNREACHABLE.test(line))
    const reason = offline?.trim() ?? (lastLine(result.stderr) || "apt-get failed")
    // Without a code it ran into the limit: a mirror that trickles is as good as none.
    return { problem: `${suite}: ${reason}`, isOffline: offline !== undefined || result.code === null }
  }
  const deb = readdirSync(folder).find((name) => name.endsWith(".deb"))
  if (deb === undefined) return { problem: `${suite}: apt-get brought no package`, isOffline: false }
  return { deb: join(folder, deb) }
}

/** Unpacks the server of a package into the cache, under its version. */
const unpack = async (folder: string, deb: string): Promise<FoundNats | null> => {
  const root = join(folder, "root")
  const unpacked = await runCommand(["dpkg-deb", "-x", deb, root], { timeoutMs: 60_000 })
  const program = ["usr/sbin", "usr/bin"]
    .map((where) => join(root, where, "nats-server"))
    .find((path) => existsSync(path))
  if (unpacked.code !== 0 || program === undefined) return null
  const found = await askNats(program)
  if (found === null || compareVersions(found.version, VERSION_MIN) < 0) return null
  const home = join(cacheDir(), found.version)
  mkdirSync(home, { recursive: true })
  renameSync(program, join(home, "nats-server"))
  return { path: join(home, "nats-server"), version: found.version }
}

/** Fetches and unpacks a server of the series. Throws where the state folder cannot be written. */
export const fetchNats = async (series: NatsSeries, uri: string, report: Reporter): Promise<FoundNats | Problem> => {
  mkdirSync(cacheDir(), { recursive: true })
  const problems: string[] = []
  for (const suite of SUITES[series]) {
    report.note(`looking for nats-server in Debian's ${suite}`)
    const folder = mkdtempSync(join(stateDir(), "nats-fetch-"))
    try {
      const got = await download(folder, uri, suite)
      if ("problem" in got && got.isOffline) return got
      const found = "deb" in got ? await unpack(folder, got.deb) : null
      if (found !== null && serves(series, found)) return found
      problems.push("problem" in got ? got.problem : `${suite}: its server does not run here or is of another series`)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return { problem: problems.join("; "), isOffline: false }
}

/** The mirror to fetch from; null where nothing can be fetched. Another distribution's apt is not even asked. */
export const findMirror = async (osRelease?: string): Promise<string | null> => {
  if (!isDebian(osRelease) || findProgram("dpkg-deb") === null) return null
  return (await debianSources())[0]?.uri ?? null
}
