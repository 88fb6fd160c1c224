import { cacheDir, findNats, type NatsSeries, serves, VERSION_MIN } from "./nats.ts"
import { fetchNats, findMirror } from "./natsPackage.ts"
import { type Outcome, type Reporter, reasonOf } from "./outcome.ts"

const RELEASES = "https://github.com/nats-io/nats-server/releases"

/** One on PATH is enough for all but the tests, which want the oldest series beside it. */
const howToGet = (series: NatsSeries): string =>
  series === "newest"
    ? `install nats-server ${VERSION_MIN} or newer (${RELEASES}) and put it on PATH`
    : `put the nats-server of a ${series} release, ${VERSION_MIN} or newer (${RELEASES}), into a folder below ${cacheDir()}`

const nameOf = (series: NatsSeries): string => (series === "newest" ? "nats-server" : `nats-server ${series}`)

/** Says that a server of the series is not to be had, for that reason. */
export const missingNats = (series: NatsSeries, reason?: string): Outcome => {
  const detail = reason === undefined ? howToGet(series) : `${howToGet(series)} (${reason})`
  return { what: nameOf(series), status: "missing", detail }
}

const provideSeries = async (
  series: NatsSeries,
  report: Reporter,
  offline: string | undefined,
  osRelease: string | undefined,
): Promise<{ readonly outcome: Outcome; readonly offline?: string }> => {
  const what = nameOf(series)
  try {
    const there = (await findNats()).find((found) => serves(series, found))
    if (there !== undefined)
      return { outcome: { what, status: "present", detail: `${there.version} at ${there.path}` } }
    if (offline !== undefined) return { outcome: missingNats(series, offline), offline }
    const uri = await findMirror(osRelease)
    if (uri === null) return { outcome: missingNats(series) }
    const got = await fetchNats(series, uri, report)
    if ("path" in got) return { outcome: { what, status: "made", detail: `${got.version} at ${got.path}` } }
    const outcome = missingNats(series, got.problem)
    return got.isOffline ? { outcome, offline: got.problem } : { outcome }
  } catch (error) {
    return { outcome: missingNats(series, reasonOf(error)) }
  }
}

/**
 * Finds a server of each series, or unpacks one from a Debian package without installing it. Never rejects: nobody may
 * have asked for a broker. A mirror that did not answer is not asked for the next series. `osRelease` is the file that
 * names the distribution, if not this machine's.
 */
export const provideNats = async (
  all: readonly NatsSeries[],
  report: Reporter,
  osRelease?: string,
): Promise<readonly Outcome[]> => {
  const outcomes: Outcome[] = []
  let offline: string | undefined
  for (const series of all) {
    const provided = await provideSeries(series, report, offline, osRelease)
    offline = provided.offline
    report.outcome(provided.outcome)
    outcomes.push(provided.outcome)
  }
  return outcomes
}
