/** What the log tells of a task, and what has to be true of every task that was accepted, whatever happened around it. */
import type { BerthClient, StateEvent, Status, TaskEvent } from "../../gateway/client/index.ts"

/** What a task was accepted for. */
export interface Expected {
  readonly id: string
  readonly status: Status
  readonly attempts: number
  /** All that each attempt prints on stdout. */
  readonly stdout: string
}

export interface Story extends Expected {
  readonly events: readonly TaskEvent[]
}

/** Everything of one task from the log's beginning until its end. */
export async function tellStory(client: BerthClient, expected: Expected): Promise<Story> {
  const events: TaskEvent[] = []
  for await (const event of client.watch(expected.id)) events.push(event)
  return { ...expected, events }
}

/** The stories of many tasks, some at a time. */
export async function tellStories(client: BerthClient, all: readonly Expected[]): Promise<readonly Story[]> {
  const stories: Story[] = []
  const waiting = [...all]
  const teller = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      stories.push(await tellStory(client, next))
  }
  await Promise.all(Array.from({ length: 16 }, teller))
  return stories
}

const statesOf = (story: Story): readonly StateEvent[] => story.events.filter((event) => event.type === "state")
const withFact = (story: Story, fact: string): readonly StateEvent[] =>
  statesOf(story).filter(({ facts }) => facts.includes(fact))

/** Epochs at which a container was to be started, by attempt. Adoptions raise the epoch and start nothing. */
const runsOf = (story: Story): readonly { readonly attempt: number; readonly epoch: number }[] =>
  withFact(story, "started").map(({ task }) => ({ attempt: task.attempt, epoch: task.epoch }))

export const adoptionsOf = (story: Story): number => withFact(story, "adopted").length
export const lossesOf = (story: Story): number => withFact(story, "lost").length

/** @param runEpoch - output of earlier runs is left out */
function printedBy(
  story: Story,
  attempt: number,
  runEpoch: number,
): { readonly text: string; readonly faults: readonly string[] } {
  const parts: Uint8Array[] = []
  const faults: string[] = []
  let offset = 0
  for (const event of story.events) {
    if (event.type !== "output" && event.type !== "gap") continue
    if (event.epoch < runEpoch) continue
    if (event.type === "gap" && event.attempt === attempt)
      faults.push(`attempt ${attempt} has a gap at ${event.offset}`)
    if (event.type !== "output" || event.attempt !== attempt || event.stream !== "stdout") continue
    if (event.offset !== offset) faults.push(`attempt ${attempt} is at byte ${offset} and was given ${event.offset}`)
    offset = event.offset + event.bytes.length
    parts.push(event.bytes)
  }
  return { text: Buffer.concat(parts).toString(), faults }
}

function faultsOfOrder(story: Story): readonly string[] {
  const faults: string[] = []
  let seq = 0
  for (const event of story.events) {
    if (event.seq === null) continue
    // One record may hold several pieces of output; everything else has a sequence of its own.
    if (event.type === "state" ? event.seq <= seq : event.seq < seq) faults.push(`sequence ${event.seq} after ${seq}`)
    seq = event.seq
  }
  return faults
}

/**
 * What is wrong with a task that has ended: nothing, if all went well.
 *
 *   ST1. Exactly one end for each attempt, and the status and number of attempts that were to be expected.
 *   ST2. Each byte of each attempt is there once and in order.
 *   ST3. The engine started at most one container for each run, and none for anything that is not a run.
 *   ST4. A program that printed was never run again within its attempt.
 *
 * @param starts - by container name, as the engine tells it
 * @param mayRerun - programs were ended from outside and have to be run again: ST2 is then about the last run, and ST4 is not asked
 */
export function faultsOf(story: Story, starts: ReadonlyMap<string, number>, mayRerun = false): readonly string[] {
  const faults: string[] = [...faultsOfOrder(story)]
  const last = statesOf(story).at(-1)?.task
  const ends = withFact(story, "ended").length
  if (last?.status !== story.status || last.attempt !== story.attempts)
    faults.push(
      `is ${last?.status} (${JSON.stringify(last?.result?.reason)}, ${last?.result?.exitCode ?? last?.result?.signal}, ${last?.result?.message}) after attempt ${last?.attempt}, not ${story.status} after ${story.attempts}`,
    )
  if (ends !== story.attempts) faults.push(`has ${ends} ends and ${story.attempts} attempts`)
  const runs = runsOf(story)
  const lastRun = (attempt: number): number => runs.findLast((run) => run.attempt === attempt)?.epoch ?? 0
  for (let attempt = 1; attempt <= story.attempts; attempt += 1) {
    const printed = printedBy(story, attempt, mayRerun ? lastRun(attempt) : 0)
    faults.push(...printed.faults)
    if (printed.text !== story.stdout) faults.push(`attempt ${attempt} printed ${JSON.stringify(printed.text)}`)
  }
  const prefix = `berth-${story.id}-`
  for (const [name, count] of starts) {
    if (!name.startsWith(prefix)) continue
    if (count !== 1) faults.push(`container ${name} was started ${count} times`)
    if (!runs.some(({ epoch }) => name === `${prefix}${epoch}`)) faults.push(`container ${name} belongs to no run`)
  }
  for (const event of story.events) {
    if (mayRerun || event.type !== "output" || event.epoch >= lastRun(event.attempt)) continue
    faults.push(`printed at epoch ${event.epoch} and was run again at ${lastRun(event.attempt)}`)
  }
  return faults.map((fault) => `${story.id}: ${fault}`)
}
