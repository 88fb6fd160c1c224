import { Context, type Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { SnapshotSource } from "../../core/ports/snapshots.ts"
import type { Role } from "../../core/words.ts"

/** Where a server lives, whatever stores it has: what the composition needs beside the ports. */
export class Home extends Context.Service<
  Home,
  {
    readonly dataDir: string
    readonly store: "sqlite" | "jetstream"
    readonly clusterId: string
    readonly roles: readonly Role[]
    /** Key of the tokens that every gateway of the cluster takes. */
    readonly tokenSecret: Uint8Array
    /** Common to all workers of the cluster, so that each can read what another's container reports. */
    readonly workerSecret: Uint8Array
    readonly snapshots: SnapshotSource | null
    /** Tells commands in the same data directory where this process listens. */
    readonly announce: (url: string) => Effect.Effect<void, BerthError>
  }
>()("gateway/main/Home") {}
