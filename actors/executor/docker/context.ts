import type { ContainerInspectInfo } from "dockerode"
import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import { CALLS, connectEngine, Engine } from "./client.ts"
import { type CachedFacts, cachedFacts } from "./facts.ts"
import { LiveContainers } from "./live.ts"
import { DEFAULTS, type DockerOptions } from "./options.ts"
import { makePull, type Pull } from "./pull.ts"
import { makeShellProbe, type ShellProbe } from "./shell.ts"
import { leasedBlock } from "./uids.ts"

/** What the parts of the executor share: the engine, what is known of it, and the containers under way. */
export interface Context {
  readonly options: DockerOptions
  readonly engine: Engine
  readonly live: LiveContainers
  readonly facts: CachedFacts
  /** The block of user ids that this worker leased. */
  readonly uidBlock: Effect.Effect<number, BerthError>
  readonly pull: Pull | null
  readonly shells: ShellProbe
  /** By id or name; null when it does not exist. */
  readonly inspect: (id: string) => Effect.Effect<ContainerInspectInfo | null, BerthError>
  /** Whatever its state, with its volumes; returns when it is gone. */
  readonly remove: (id: string) => Effect.Effect<void, BerthError>
}

const REMOVAL_LOOKS_MAX = 100
const REMOVAL_LOOK_MS = 50

export function makeContext(options: DockerOptions): Context {
  const engine = new Engine(connectEngine(options.engine), options.guard)
  const inspect = (id: string) =>
    engine.call<ContainerInspectInfo | null>(
      CALLS.inspect,
      (abortSignal) => engine.docker.getContainer(id).inspect({ abortSignal }),
      { 404: () => null },
    )
  const remove = (id: string): Effect.Effect<void, BerthError> =>
    Effect.gen(function* () {
      const removed = yield* engine.call<boolean>(
        CALLS.remove,
        () =>
          engine.docker
            .getContainer(id)
            .remove({ force: true, v: true })
            .then(() => true),
        // Somebody else is removing it: wait until that is done.
        { 404: () => true, 409: () => false },
      )
      for (let look = 0; !removed && look < REMOVAL_LOOKS_MAX; look += 1) {
        if ((yield* inspect(id)) === null) return
        yield* options.clock.sleep(REMOVAL_LOOK_MS)
      }
      if (!removed) yield* Effect.fail(berthError("BACKEND_UNAVAILABLE", `container ${id} does not go away`))
    })
  return {
    options,
    engine,
    live: new LiveContainers(),
    facts: cachedFacts(engine),
    uidBlock: leasedBlock(engine, options.leaseUids),
    pull: (options.pull ?? DEFAULTS.pull) ? makePull(engine.docker, options) : null,
    shells: makeShellProbe({ engine, clock: options.clock, inspect, remove }),
    inspect,
    remove,
  }
}
