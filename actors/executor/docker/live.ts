import { Latch } from "effect"
import type { Job, StopMode } from "../../../core/ports/executor.ts"
import type { Plan } from "./plan.ts"

/** What this process knows about a container that it runs, adopts or was asked to stop. */
export interface Live {
  /** As decided by `create`; null for a container that a predecessor made. */
  plan: Plan | null
  /** Whose program it is: the last that ran or adopted it here. */
  job: Job | null
  /** The first wish to stop that reached it; `kill` replaces a gentler one. */
  stop: StopMode | null
  /** True once the program was told to end; it is told once. */
  told: boolean
  /** True once the whole container was killed: nothing can be collected any more. */
  killed: boolean
  detached: boolean
  /** Null until the program began here; adopted programs began earlier, so their own clock decides. */
  beganMonoMs: number | null
  /** Opens when the program has ended or the container is gone. */
  readonly ended: Latch.Latch
  /** Opens when the whole program was fed, or when there is nothing to feed. */
  readonly fed: Latch.Latch
  /** Lets go of the engine's stream. */
  close: () => void
}

/** By container id. Entries live from the first use until `remove` or `detach`, so their number is that of the worker's slots. */
export class LiveContainers {
  readonly #byId = new Map<string, Live>()

  of(containerId: string): Live {
    const known = this.#byId.get(containerId)
    if (known !== undefined) return known
    const fresh: Live = {
      plan: null,
      job: null,
      stop: null,
      told: false,
      killed: false,
      detached: false,
      beganMonoMs: null,
      ended: Latch.makeUnsafe(false),
      fed: Latch.makeUnsafe(false),
      close: () => {},
    }
    this.#byId.set(containerId, fresh)
    return fresh
  }

  forget(containerId: string): void {
    this.#byId.delete(containerId)
  }
}
