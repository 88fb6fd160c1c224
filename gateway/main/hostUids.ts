/**
 * Leases of user-id blocks among all servers of this host, whatever their data directories (UI3). A lease is a name in the
 * kernel's own table of sockets: taken by one, given back by the kernel whenever its process ends, and nothing on any disk.
 */
import { createHash } from "node:crypto"
import { createServer, type Server } from "node:net"
import { Effect } from "effect"
import { UID_BLOCKS } from "../../actors/executor/docker/uids.ts"
import { type BerthError, berthError } from "../../core/errors.ts"

/** A leading NUL makes it a name of Linux's abstract namespace. */
const nameOf = (block: number): string => `\0berth-uids-${block}`

/** Where no such names exist, workers start from blocks of their own hashes, which rarely meet. */
const firstOf = (worker: string): number => createHash("sha256").update(worker).digest().readUInt32BE() % UID_BLOCKS

type Taken = Server | "taken" | "not here"

const take = (block: number): Promise<Taken> =>
  new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EADDRINUSE" ? "taken" : "not here"))
    server.listen({ path: nameOf(block) }, () => resolve(server.unref()))
  })

export interface HostUids {
  readonly lease: (inUse: ReadonlySet<number>) => Effect.Effect<number, BerthError>
  readonly close: () => void
}

export function hostUids(worker: string): HostUids {
  const held: Server[] = []
  const lease = async (inUse: ReadonlySet<number>): Promise<number | null> => {
    for (let step = 0; step < UID_BLOCKS; step += 1) {
      const block = (firstOf(worker) + step) % UID_BLOCKS
      if (inUse.has(block)) continue
      const got = await take(block)
      if (got === "taken") continue
      if (got !== "not here") held.push(got)
      return block
    }
    return null
  }
  return {
    lease: (inUse) =>
      Effect.flatMap(
        Effect.promise(() => lease(inUse)),
        (block) =>
          block === null
            ? Effect.fail(berthError("OVERLOADED", `all ${UID_BLOCKS} blocks of user ids of this host are taken`))
            : Effect.succeed(block),
      ),
    close: () => {
      for (const server of held) server.close()
    },
  }
}
