import type { ContainerInfo } from "dockerode"
import { Effect, Semaphore } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import { CALLS, type Engine } from "./client.ts"
import { LABEL } from "./names.ts"

/**
 * User ids for programs. The kernel counts some things by user, whatever the container (pending signals, inotify, locked
 * memory, message queues), so no two programs that run at once may have one id.
 *
 *   UI1. A worker leases one block of ids for its life, before its first container; each of its slots is one id.
 *   UI2. A block that any container of any cluster bears is in use: what a dead worker left keeps its ids until it is gone.
 *   UI3. Of two workers that ask at once one gets a block: that is the lease's promise (`leaseUids`).
 */

const FIRST_UID = 100_000
const UIDS_PER_BLOCK = 1_000
/** Ids end below 1,100,000. */
export const UID_BLOCKS = 1_000

export const uidOf = (block: number, slot: number): number =>
  FIRST_UID + UIDS_PER_BLOCK * block + (slot % UIDS_PER_BLOCK)

const blocksInUse = (engine: Engine): Effect.Effect<ReadonlySet<number>, BerthError> =>
  Effect.map(
    engine.call<ContainerInfo[]>(CALLS.list, () =>
      engine.docker.listContainers({ all: true, filters: { label: [LABEL.uids] } }),
    ),
    (found) => new Set(found.map(({ Labels }) => Number(Labels[LABEL.uids]))),
  )

/** UI1. Asks again only after a failure. */
export function leasedBlock(
  engine: Engine,
  lease: (inUse: ReadonlySet<number>) => Effect.Effect<number, BerthError>,
): Effect.Effect<number, BerthError> {
  let mine: number | null = null
  const ask = Effect.tap(Effect.flatMap(blocksInUse(engine), lease), (block) =>
    Effect.sync(() => {
      mine = block
    }),
  )
  return Semaphore.makeUnsafe(1).withPermits(1)(Effect.suspend(() => (mine === null ? ask : Effect.succeed(mine))))
}
