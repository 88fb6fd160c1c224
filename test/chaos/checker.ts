/**
 * What has to be true of every submit that was acknowledged, whatever was killed meanwhile.
 *
 *   CH1. It is at rest: completed, or, after three deaths of workers, quarantined. None is lost.
 *   CH2. Each attempt has exactly one accepted end, and each epoch at most one start.
 *   CH3. A program was started at least once if it completed, and at most once for each start in the log.
 *   CH4. Its watch saw every sequence once, in order, and saw the same as a watch of another gateway sees afterwards.
 */
import type { BerthClient, StateEvent, TaskEvent } from "../../gateway/client/index.ts"
import type { Watched } from "./load.ts"

const TELLERS = 16
/** Everything is at rest by now; a story that does not end is one too many. */
const TELL_MS_MAX = 60_000

export interface Verdict {
  readonly byStatus: Readonly<Record<string, number>>
  readonly starts: number
  readonly losses: number
  readonly adoptions: number
  readonly violations: readonly string[]
}

const statesOf = (events: readonly TaskEvent[]): readonly StateEvent[] =>
  events.filter((event) => event.type === "state")
const withFact = (events: readonly TaskEvent[], fact: string): readonly StateEvent[] =>
  statesOf(events).filter(({ facts }) => facts.includes(fact))
/** What is live and not kept is only for who watches at that moment; the rest is the same for everybody. */
const kept = (events: readonly TaskEvent[]): string =>
  JSON.stringify(events.filter(({ seq, type }) => seq !== null && type !== "end").map(({ seq, type }) => [seq, type]))

function violationsOf({ events, id, word }: Watched, marks: number, again: readonly TaskEvent[]): readonly string[] {
  const violations: string[] = []
  const say = (what: string): void => void violations.push(`${word} (${id}): ${what}`)
  const last = statesOf(again).at(-1)?.task
  const isDone = last?.status === "completed"
  if (!isDone && last?.result?.reason !== "quarantined") say(`is ${last?.status}: ${last?.result?.message}`)
  const ends = withFact(again, "ended").length
  if (ends !== (last?.attempt ?? 0)) say(`has ${ends} ends and ${last?.attempt} attempts`)
  const starts = withFact(again, "started").map(({ task }) => task.epoch)
  if (new Set(starts).size !== starts.length) say(`has two starts of one epoch: ${starts.join()}`)
  if (isDone && marks === 0) say("completed and was never started")
  if (marks > starts.length) say(`was started ${marks} times, and the log has ${starts.length} starts`)
  let seq = 0
  for (const event of events) {
    if (event.seq === null || event.type === "end") continue
    if (event.type === "state" ? event.seq <= seq : event.seq < seq) say(`its watch was at ${seq} and saw ${event.seq}`)
    seq = event.seq
  }
  if (kept(events) !== kept(again)) say("its watch saw something else than one of another gateway")
  return violations
}

export async function check(
  client: BerthClient,
  watched: readonly Watched[],
  marks: ReadonlyMap<string, number>,
): Promise<Verdict> {
  const byStatus: Record<string, number> = {}
  const violations: string[] = []
  const sums = { starts: 0, losses: 0, adoptions: 0 }
  const waiting = [...watched]
  const teller = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const again: TaskEvent[] = []
      const signal = AbortSignal.timeout(TELL_MS_MAX)
      try {
        for await (const event of client.watch(next.id, { signal })) again.push(event)
      } catch (error) {
        if (!signal.aborted) throw error
        violations.push(`${next.word} (${next.id}): is not at rest`)
      }
      const status = statesOf(again).at(-1)?.task.status ?? "unknown"
      byStatus[status] = (byStatus[status] ?? 0) + 1
      sums.starts += marks.get(next.word) ?? 0
      sums.losses += withFact(again, "lost").length
      sums.adoptions += withFact(again, "adopted").length
      violations.push(...violationsOf(next, marks.get(next.word) ?? 0, again))
    }
  }
  await Promise.all(Array.from({ length: TELLERS }, teller))
  return { byStatus, ...sums, violations }
}
