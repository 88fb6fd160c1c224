/** Watches of other gateways, afterwards, when everything is at rest: do they show what the log has? */
import type { BerthClient, BerthError } from "../../gateway/client/index.ts"
import type { Watched } from "./load.ts"
import { lastOf, type Sighting, sightingOf, startedEpochs, statesOf, type Story, tell } from "./story.ts"

const READERS_PER_CLIENT = 4
/** Everything is at rest by now; a story that does not end is one too many. */
const STORY_MS_MAX = 60_000

/** A story, or why there is none. */
export type Told = Story | string

const isPlain = (story: Story): boolean =>
  lastOf(story)?.status === "completed" &&
  startedEpochs(story).length === 1 &&
  !statesOf(story).some(({ facts }) => facts.includes("lost") || facts.includes("adopted"))

/** All to which something has happened, and one of `every` others: a watch costs a gateway a dozen questions. */
export const worthALook = (
  watched: readonly Watched[],
  log: ReadonlyMap<string, Told>,
  every: number,
): readonly string[] =>
  watched.flatMap(({ id }, place) => {
    const story = log.get(id)
    return place % every !== 0 && typeof story === "object" && isPlain(story) ? [] : [id]
  })

/** What the clients' gateway tells of these tasks. A connection may ask so many times a second, and no more: several share it. */
export async function lookAgain(
  clients: readonly BerthClient[],
  ids: readonly string[],
): Promise<ReadonlyMap<string, Told>> {
  const found = new Map<string, Told>()
  const waiting = ids.values()
  const reader = async (client: BerthClient): Promise<void> => {
    for (const id of waiting) found.set(id, await storyOf(client, id))
  }
  const readers = clients.flatMap((client) => Array.from({ length: READERS_PER_CLIENT }, () => client))
  await Promise.all(readers.map(reader))
  return found
}

async function storyOf(client: BerthClient, id: string): Promise<Told> {
  const story: Sighting[] = []
  const signal = AbortSignal.timeout(STORY_MS_MAX)
  try {
    for await (const event of client.watch(id, { signal })) {
      const sighting = sightingOf(event)
      if (sighting !== null) story.push(sighting)
    }
    return story
  } catch (error) {
    if (signal.aborted) return `is not at rest [${tell(story)}]`
    const { code, message } = error as BerthError
    return `is not to be had: ${code}: ${message}`
  }
}
