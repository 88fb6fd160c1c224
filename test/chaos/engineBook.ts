/** What the engine itself tells of the containers of a cluster: when each ran, and that none is left at the end. */
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { FoundEngine } from "../../gateway/provision/engine.ts"
import { containersOf, removeContainersOf, startWitness } from "../support/engineWitness.ts"
import { FIRST_WORDS } from "./orders.ts"
import { engineSigns, isAttempt, type Sign } from "./starts.ts"

/** Longer than a sweep and the pass before it: what was being made when its worker died is found by then. */
const LEFT_MS_MAX = 60_000
const LOOK_MS = 200

export interface EngineBook {
  readonly signs: (cluster: string) => readonly Sign[]
  /** Waits until no attempt's container is there any more; tells which are, if that does not come. */
  readonly left: (cluster: string) => Promise<readonly string[]>
  /** Writes nothing more. */
  readonly stop: () => Promise<void>
  /** Removes what a drill that failed has left. */
  readonly clean: (cluster: string) => Promise<void>
}

const NONE: EngineBook = {
  signs: () => [],
  left: () => Promise.resolve([]),
  stop: () => Promise.resolve(),
  clean: () => Promise.resolve(),
}

/** Resolves when the engine has said that it will tell; at once where there is none. */
export async function openEngineBook(engine: FoundEngine | null, folder: string): Promise<EngineBook> {
  if (engine === null) return NONE
  const witness = await startWitness(engine, join(folder, "events"), FIRST_WORDS)
  const left = async (cluster: string): Promise<readonly string[]> => {
    for (const endMonoMs = performance.now() + LEFT_MS_MAX; ; await sleep(LOOK_MS)) {
      // A probe of an image that a crash has left is swept in its own time.
      const there = (await containersOf(engine, cluster)).filter(({ name }) => isAttempt(name))
      if (there.length === 0) return []
      if (performance.now() > endMonoMs) return there.map(({ name, state }) => `${name} was left ${state}`)
    }
  }
  return {
    signs: (cluster) => engineSigns(witness.seen(cluster)),
    left,
    stop: witness.stop,
    clean: (cluster) => removeContainersOf(engine, cluster),
  }
}
