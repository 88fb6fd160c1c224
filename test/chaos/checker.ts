/**
 * What has to be true of every submit that was acknowledged, whatever was killed meanwhile.
 *
 *   CH1. It is at rest: completed, or, after three deaths of workers, quarantined. None is lost.
 *   CH2. Each attempt has exactly one accepted end, and each epoch at most one start.
 *   CH3. Others than the log tell how often it was started: at most once in each epoch, in none that the log does not know,
 *        and in the one that ended, if it completed. Nothing was started that nobody asked for.
 *   CH4. Its watch saw every sequence once, in order, and saw the same as a watch of another gateway sees afterwards.
 *   CH5. What the run that ended has printed is there, whole and once, and so is its value.
 *   CH6. Two of its runs overlap only where its result says that they may; on one engine they never do.
 */
import type { BerthClient, BerthError, StateEvent, TaskEvent } from "../../gateway/client/index.ts"
import type { Watched } from "./load.ts"
import type { Teller } from "./orders.ts"
import { overlaps, type Sign, startsOf } from "./starts.ts"

const READERS = 16
/** Everything is at rest by now; a story that does not end is one too many. */
const STORY_MS_MAX = 60_000

/** Starts of tasks of one kind: in the log, and as its teller saw them. Fewer, where a worker died before it came to it. */
export interface Told {
  tasks: number
  startsLogged: number
  startsSeen: number
}

export interface Verdict {
  readonly byStatus: Readonly<Record<string, number>>
  /** Acknowledged, and not where CH1 wants it. */
  readonly lost: number
  readonly attempts: number
  readonly ends: number
  readonly told: Readonly<Record<Teller, Told>>
  readonly workerLosses: number
  readonly adoptions: number
  /** Tasks of which two runs were there at once. */
  readonly overlapped: number
  readonly violations: readonly string[]
}

const statesOf = (events: readonly TaskEvent[]): readonly StateEvent[] =>
  events.filter((event) => event.type === "state")
const withFact = (events: readonly TaskEvent[], fact: string): readonly StateEvent[] =>
  statesOf(events).filter(({ facts }) => facts.includes(fact))
const startedEpochs = (events: readonly TaskEvent[]): readonly number[] =>
  withFact(events, "started").map(({ task }) => task.epoch)
const lastOf = (events: readonly TaskEvent[]) => statesOf(events).at(-1)?.task
const isAsWished = (events: readonly TaskEvent[]): boolean => {
  const last = lastOf(events)
  return last?.status === "completed" || last?.result?.reason === "quarantined"
}
/** What is live and not kept is only for who watches at that moment; the rest is the same for everybody. */
const kept = (events: readonly TaskEvent[]): string =>
  JSON.stringify(events.filter(({ seq, type }) => seq !== null && type !== "end").map(({ seq, type }) => [seq, type]))
/** In the order of the log, so that a hole or a repeat shows. An adopted run goes on under a later epoch. */
const printed = (events: readonly TaskEvent[], runEpoch: number): string => {
  const parts = events.flatMap((event) =>
    event.type === "output" && event.stream === "stdout" && event.epoch >= runEpoch ? [event.bytes] : [],
  )
  return Buffer.concat(parts).toString()
}
const storyOf = (events: readonly TaskEvent[]): string =>
  statesOf(events)
    .map(({ facts, task }) => `${facts.join("+")}@${task.epoch}`)
    .join(" ")

/** What others than the log tell of a task's runs. */
interface Heard {
  readonly seen: readonly number[]
  readonly overlaps: boolean
}

function violationsOf(watched: Watched, { overlaps, seen }: Heard, again: readonly TaskEvent[]): readonly string[] {
  const { events, id, order } = watched
  const violations: string[] = []
  const say = (what: string): void => void violations.push(`${order.word} (${id}, ${order.teller}): ${what}`)
  const last = lastOf(again)
  if (!isAsWished(again)) say(`is ${last?.status}: ${last?.result?.message}`)
  const ends = withFact(again, "ended").length
  if (ends !== (last?.attempt ?? 0)) say(`has ${ends} ends and ${last?.attempt} attempts`)
  const started = startedEpochs(again)
  if (new Set(started).size !== started.length) say(`has two starts of one epoch: ${started.join()}`)
  if (new Set(seen).size !== seen.length) say(`was started twice in one epoch: ${seen.join()}`)
  const unknown = seen.filter((epoch) => !started.includes(epoch))
  if (unknown.length > 0) say(`was started in epochs that the log does not know: ${unknown.join()}`)
  const runEpoch = started.at(-1)
  if (last?.status === "completed") {
    if (runEpoch === undefined || !seen.includes(runEpoch))
      say(`completed in a run that was never started: ${runEpoch}`)
    const text = printed(again, runEpoch ?? 0)
    if (text !== order.stdout) say(`printed ${JSON.stringify(text)} instead of ${JSON.stringify(order.stdout)}`)
    const value = last.result?.value ?? null
    if (value !== order.value) say(`has the value ${JSON.stringify(value)} instead of ${JSON.stringify(order.value)}`)
  }
  if (overlaps && (order.teller === "engine" || last?.result?.overlapPossible !== true))
    say("two of its runs were there at once, and nothing says so")
  let seq = 0
  for (const event of events) {
    if (event.seq === null || event.type === "end") continue
    if (event.type === "state" ? event.seq <= seq : event.seq < seq) say(`its watch was at ${seq} and saw ${event.seq}`)
    seq = event.seq
  }
  if (kept(events) !== kept(again)) say("its watch saw something else than one of another gateway")
  return violations.map((violation) => `${violation} [${storyOf(again)}]`)
}

/** What another gateway tells of a task; or why it does not. */
async function storyAgain(client: BerthClient, id: string): Promise<readonly TaskEvent[] | string> {
  const events: TaskEvent[] = []
  const signal = AbortSignal.timeout(STORY_MS_MAX)
  try {
    for await (const event of client.watch(id, { signal })) events.push(event)
    return events
  } catch (error) {
    if (signal.aborted) return `is not at rest [${storyOf(events)}]`
    const { code, message } = error as BerthError
    return `is not to be had: ${code}: ${message}`
  }
}

export async function check(
  client: BerthClient,
  watched: readonly Watched[],
  signs: Readonly<Record<Teller, readonly Sign[]>>,
): Promise<Verdict> {
  const starts = { marks: startsOf(signs.marks), engine: startsOf(signs.engine) }
  const overlapping = { marks: overlaps(signs.marks), engine: overlaps(signs.engine) }
  const byStatus: Record<string, number> = {}
  const violations: string[] = []
  const sums = { lost: 0, attempts: 0, ends: 0, workerLosses: 0, adoptions: 0 }
  const told = { marks: newTold(), engine: newTold() }
  const waiting = [...watched]
  const reader = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { id, order } = next
      const seen = starts[order.teller].get(id) ?? []
      const again = await storyAgain(client, id)
      const mine = told[order.teller]
      mine.tasks += 1
      mine.startsSeen += seen.length
      if (typeof again === "string") {
        sums.lost += 1
        violations.push(`${order.word} (${id}, ${order.teller}): ${again}`)
        continue
      }
      mine.startsLogged += startedEpochs(again).length
      const last = lastOf(again)
      const status = last?.status ?? "unknown"
      byStatus[status] = (byStatus[status] ?? 0) + 1
      if (!isAsWished(again)) sums.lost += 1
      sums.attempts += last?.attempt ?? 0
      sums.ends += withFact(again, "ended").length
      sums.workerLosses += withFact(again, "lost").length
      sums.adoptions += withFact(again, "adopted").length
      violations.push(...violationsOf(next, { seen, overlaps: overlapping[order.teller].has(id) }, again))
    }
  }
  await Promise.all(Array.from({ length: READERS }, reader))
  const overlapped = overlapping.marks.size + overlapping.engine.size
  return { byStatus, ...sums, overlapped, told, violations: [...violations, ...strangers(watched, starts)] }
}

const newTold = (): Told => ({ tasks: 0, startsLogged: 0, startsSeen: 0 })

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
