/**
 * What has to be true of every submit that was acknowledged, whatever was killed meanwhile. Each task is looked at once, in books
 * that were read before: the log of the broker, what the watch of each task has shown, what gateways show of some afterwards.
 *
 *   CH1. It is at rest: completed, or, after three deaths of workers, quarantined. None is lost, and the log has no other.
 *   CH2. Each attempt has exactly one accepted end, and each epoch at most one start.
 *   CH3. Others than the log tell how often it was started: at most once in each epoch, in none that the log does not know,
 *        and in the one that ended, if it completed. Nothing was started that nobody asked for. So it is with what began.
 *   CH4. Its watch saw every sequence once, in order, and what the log has; so does a watch of each gateway afterwards.
 *   CH5. What the run that ended has printed is there, whole and once, and so is its value.
 *   CH6. Two of its runs overlap only where its result says that they may; on one engine they never do.
 *   CH7. Where nobody died, its program began once.
 */
import type { Watched } from "./load.ts"
import type { Teller } from "./orders.ts"
import type { Told } from "./secondLook.ts"
import { beginsOf, overlaps, type Sign, startsOf } from "./starts.ts"
import { lastOf, startedEpochs, type Story, tell, withFact } from "./story.ts"

export interface Accounts {
  /** Of every task. */
  readonly log: ReadonlyMap<string, Told>
  /** What each gateway has told afterwards, of as many as it was asked for. */
  readonly again: readonly ReadonlyMap<string, Told>[]
  readonly signs: Readonly<Record<Teller, readonly Sign[]>>
  /** CH7: nodes were told to stop, none was killed. */
  readonly runsOnce: boolean
}

/**
 * Runs of tasks of one kind: in the log, and as its teller saw them. Fewer, where a worker died before it came to it. A container
 * that was started and not yet fed has begun no program.
 */
export interface Runs {
  tasks: number
  startsLogged: number
  startsSeen: number
  beginsSeen: number
  /** Runs that went on under another worker. */
  adoptions: number
}

export interface Verdict {
  readonly byStatus: Readonly<Record<string, number>>
  /** Acknowledged, and not where CH1 wants it. */
  readonly lost: number
  readonly attempts: number
  readonly ends: number
  readonly told: Readonly<Record<Teller, Runs>>
  readonly workerLosses: number
  /** Tasks of which two runs were there at once. */
  readonly overlapped: number
  /** Tasks that every gateway was asked for afterwards. */
  readonly watchedAgain: number
  readonly violations: readonly string[]
}

const isAsWished = (story: Story): boolean => {
  const last = lastOf(story)
  return last?.status === "completed" || last?.result?.reason === "quarantined"
}
/** In the order of the log, so that a hole or a repeat shows. An adopted run goes on under a later epoch. */
const printed = (story: Story, runEpoch: number): string =>
  story
    .map((event) => (event.type === "output" && event.stream === "stdout" && event.epoch >= runEpoch ? event.text : ""))
    .join("")
const isSame = (one: Story, other: Story): boolean => JSON.stringify(one) === JSON.stringify(other)
const twice = (epochs: readonly number[]): boolean => new Set(epochs).size !== epochs.length

/** What others than the log tell of a task's runs. */
interface Heard {
  readonly started: readonly number[]
  readonly begun: readonly number[]
  readonly overlaps: boolean
  readonly again: readonly Told[]
  readonly runsOnce: boolean
}

function violationsOf(watched: Watched, heard: Heard, story: Story): readonly string[] {
  const { order, story: shown } = watched
  const violations: string[] = []
  const say = (what: string): void => void violations.push(what)
  const last = lastOf(story)
  if (!isAsWished(story)) say(`is ${last?.status}: ${last?.result?.message}`)
  const ends = withFact(story, "ended").length
  if (ends !== (last?.attempt ?? 0)) say(`has ${ends} ends and ${last?.attempt} attempts`)
  const logged = startedEpochs(story)
  if (twice(logged)) say(`has two starts of one epoch: ${logged.join()}`)
  const runs: readonly (readonly [what: string, epochs: readonly number[]])[] = [
    ["was started", heard.started],
    // A mark is both.
    ...(order.teller === "engine" ? [["began", heard.begun] as const] : []),
  ]
  for (const [what, epochs] of runs) {
    if (twice(epochs)) say(`${what} twice in one epoch: ${epochs.join()}`)
    const unknown = epochs.filter((epoch) => !logged.includes(epoch))
    if (unknown.length > 0) say(`${what} in epochs that the log does not know: ${unknown.join()}`)
  }
  if (heard.runsOnce && heard.begun.length !== 1) say(`began ${heard.begun.length} times: ${heard.begun.join()}`)
  if (last?.status === "completed") {
    const runEpoch = logged.at(-1)
    if (runEpoch === undefined || !heard.started.includes(runEpoch))
      say(`completed in a run that was never started: ${runEpoch}`)
    const text = printed(story, runEpoch ?? 0)
    if (text !== order.stdout) say(`printed ${JSON.stringify(text)} instead of ${JSON.stringify(order.stdout)}`)
    const value = last.result?.value ?? null
    if (value !== order.value) say(`has the value ${JSON.stringify(value)} instead of ${JSON.stringify(order.value)}`)
  }
  if (heard.overlaps && (order.teller === "engine" || last?.result?.overlapPossible !== true))
    say("two of its runs were there at once, and nothing says so")
  let seq = 0
  for (const event of shown) {
    if (event.type === "state" ? event.seq <= seq : event.seq < seq) say(`its watch was at ${seq} and saw ${event.seq}`)
    seq = event.seq
  }
  if (!isSame(shown, story)) say(`its watch saw something else than the log has: [${tell(shown)}]`)
  for (const again of heard.again)
    if (typeof again === "object" && !isSame(again, story))
      say(`a gateway shows something else than the log has: [${tell(again)}]`)
  return violations.map((violation) => `${violation} [${tell(story)}]`)
}

export function check(watched: readonly Watched[], { again, log, runsOnce, signs }: Accounts): Verdict {
  const starts = { marks: startsOf(signs.marks), engine: startsOf(signs.engine) }
  // A program and a handler mark their start when they begin.
  const begins = { marks: starts.marks, engine: beginsOf(signs.engine) }
  const overlapping = { marks: overlaps(signs.marks), engine: overlaps(signs.engine) }
  const byStatus: Record<string, number> = {}
  const violations: string[] = []
  const sums = { lost: 0, attempts: 0, ends: 0, workerLosses: 0 }
  const told = { marks: noRuns(), engine: noRuns() }
  for (const each of watched) {
    const { id, order } = each
    const name = `${order.word} (${id}, ${order.teller})`
    const started = starts[order.teller].get(id) ?? []
    const begun = begins[order.teller].get(id) ?? []
    const mine = told[order.teller]
    mine.tasks += 1
    mine.startsSeen += started.length
    mine.beginsSeen += begun.length
    const shown = again.map((one) => one.get(id)).filter((one) => one !== undefined)
    const story = log.get(id) ?? "is not in the log"
    const missing = [story, ...shown].find((one) => typeof one === "string")
    if (missing !== undefined) {
      sums.lost += 1
      violations.push(`${name}: ${missing}`)
    }
    if (typeof story === "string") continue
    mine.startsLogged += startedEpochs(story).length
    const last = lastOf(story)
    const status = last?.status ?? "unknown"
    byStatus[status] = (byStatus[status] ?? 0) + 1
    if (!isAsWished(story) && missing === undefined) sums.lost += 1
    sums.attempts += last?.attempt ?? 0
    sums.ends += withFact(story, "ended").length
    sums.workerLosses += withFact(story, "lost").length
    mine.adoptions += withFact(story, "adopted").length
    const heard = { started, begun, overlaps: overlapping[order.teller].has(id), again: shown, runsOnce }
    violations.push(...violationsOf(each, heard, story).map((violation) => `${name}: ${violation}`))
  }
  violations.push(...strangers(watched, starts), ...unasked(watched, log))
  const overlapped = overlapping.marks.size + overlapping.engine.size
  return { byStatus, ...sums, overlapped, told, watchedAgain: again[0]?.size ?? 0, violations }
}

const noRuns = (): Runs => ({ tasks: 0, startsLogged: 0, startsSeen: 0, beginsSeen: 0, adoptions: 0 })

/** CH3: starts of tasks that nobody was told of, or by somebody who should not have started them. */
const strangers = (
  watched: readonly Watched[],
  starts: Readonly<Record<Teller, ReadonlyMap<string, unknown>>>,
): readonly string[] => {
  const known = new Map(watched.map(({ id, order }) => [id, order.teller]))
  return Object.entries(starts).flatMap(([teller, all]) =>
    [...all.keys()]
      .filter((id) => known.get(id) !== teller)
      .map((id) => `${id}: was started (${teller}), and nobody asked for it`),
  )
}

/** CH1: each submit is one task, and each task one submit, however often it was repeated. */
const unasked = (watched: readonly Watched[], log: ReadonlyMap<string, unknown>): readonly string[] => {
  const words = new Map<string, string>()
  const violations: string[] = []
  for (const { id, order } of watched) {
    const other = words.get(id)
    if (other !== undefined) violations.push(`${id}: is the task of ${other} and of ${order.word}`)
    words.set(id, order.word)
  }
  for (const id of log.keys()) if (!words.has(id)) violations.push(`${id}: is in the log, and nobody asked for it`)
  return violations
}
