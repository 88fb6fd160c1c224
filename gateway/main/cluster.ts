/**
 * The ports of a node of a cluster: everything that nodes share comes from the broker, the read model and the token's secret
 * lie in a data directory of the node's own.
 *
 *   data directory (lock) → broker (refused when too old) → the cluster's identity → read model, from a snapshot if need be
 */
import { join } from "node:path"
import { Context, Effect, Layer, type Scope } from "effect"
import { readManifest } from "../../actors/leader/snapshots.ts"
import { type BerthError, berthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { Clock } from "../../core/ports/clock.ts"
import { type Durability, EventLog } from "../../core/ports/eventLog.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Random } from "../../core/ports/random.ts"
import { ReadModel } from "../../core/ports/readModel.ts"
import { pieceKey } from "../../core/ports/snapshots.ts"
import type { Logger } from "../../core/telemetry.ts"
import type { Role } from "../../core/words.ts"
import { type JetstreamOptions, jetstreamPorts } from "../../store/jetstream/index.ts"
import { lockDataDir, openNodeModel, snapshotsOf } from "../../store/sqlite/index.ts"
import { keepSecret } from "../server/secret.ts"
import { Home } from "./home.ts"
import { clusterIdentity } from "./identity.ts"
import type { SecretsKeys } from "./secretsKeys.ts"

/** How a server finds its cluster. */
export interface ClusterChoice {
  readonly broker: JetstreamOptions
  readonly roles: readonly Role[]
  /** Key of tokens, when the operator gives one; null: the cluster's own. */
  readonly secret: Uint8Array | null
  /** `own`: this directory. `below`: a folder in it that no other node of this machine has. */
  readonly place: "own" | "below"
}

export interface ClusterPortsOptions extends ClusterChoice {
  readonly dataDir: string
  readonly logger: Logger
  readonly secretsKeys: SecretsKeys | null
  /** After so long a tombstone may be gone; a read model that was not used since then begins anew. */
  readonly idempotencyMs: number
}

/** What an acknowledgement means, told at the start. */
const ACKNOWLEDGED: Readonly<Record<Durability, string>> = {
  fsynced: "what is acknowledged is on the brokers' disks",
  "page-cache": "what is acknowledged is in the brokers' page cache, and may be lost in a power cut",
  memory: "what is acknowledged is in the brokers' memory, and is lost with them",
  unknown: "the brokers do not say whether what is acknowledged is on their disks; name their monitoring addresses",
}
/** Nodes of one machine that are found a folder for; more have to be given one. */
const NODES_MAX = 64

export const clusterPorts = (options: ClusterPortsOptions) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const clock = yield* Clock
      const random = yield* Random
      const { broker, roles, secretsKeys } = options
      const { announce, dataDir } = yield* takeDataDir(options, clock.nowMs())
      // What exists once in a cluster is made by who may lead it; the others wait for it.
      const manages = roles.includes("leader")
      const notice = (what: string): void => options.logger.info({ what }, "broker")
      const shared = yield* Layer.build(
        jetstreamPorts({ ...broker, name: `berth ${roles.join(",")}`, manages, secretsKeys, notice }),
      )
      const log = Context.get(shared, EventLog)
      const { id, key } = yield* clusterIdentity(Context.get(shared, Leases), clock, manages ? random.id : null)
      const tokenSecret = options.secret ?? key
      yield* keepSecret(dataDir, tokenSecret)
      const path = join(dataDir, "read.db")
      const readModel = yield* openModel(options, path, id, Context.get(shared, Blobs), clock)
      const checkpointSeq = yield* readModel.checkpoint
      options.logger.info(
        {
          cluster: options.broker.cluster,
          roles,
          durability: log.durability,
          replicas: log.replicas,
          dataDir,
          checkpointSeq,
        },
        ACKNOWLEDGED[log.durability],
      )
      return shared.pipe(
        Context.add(ReadModel, readModel),
        Context.add(Home, {
          dataDir,
          store: "jetstream",
          clusterId: id,
          roles,
          tokenSecret,
          workerSecret: key,
          snapshots: snapshotsOf(path),
          announce,
        }),
      )
    }),
  )

const openModel = (
  { idempotencyMs, logger }: ClusterPortsOptions,
  path: string,
  log: string,
  blobs: Blobs["Service"],
  clock: Clock["Service"],
): Effect.Effect<ReadModel["Service"], BerthError, Scope.Scope> =>
  openNodeModel({
    path,
    log,
    unusedSinceMs: clock.nowMs() - idempotencyMs / 2,
    snapshot: (version) =>
      Effect.map(readManifest(blobs, version), (manifest) =>
        manifest === null
          ? null
          : {
              pieces: manifest.pieces,
              piece: (index) =>
                Effect.flatMap(blobs.get(pieceKey(version, manifest.name, index)), (bytes) =>
                  bytes === null
                    ? Effect.fail(berthError("NOT_FOUND", "the snapshot has been replaced"))
                    : Effect.succeed(bytes),
                ),
            },
      ),
    onAnew: (from, why) => logger.info({ from, why }, "the read model is made anew"),
  })

const takeDataDir = (
  { dataDir, place }: ClusterPortsOptions,
  nowMs: number,
): Effect.Effect<Pick<Home["Service"], "dataDir" | "announce">, BerthError, Scope.Scope> => {
  const take = (path: string) =>
    Effect.map(
      lockDataDir(path, nowMs, () => {}),
      ({ announce }) => ({ dataDir: path, announce }),
    )
  const takeBelow = (index: number): ReturnType<typeof take> =>
    Effect.catch(take(join(dataDir, "nodes", String(index))), (error) =>
      error.code === "DATA_DIR_LOCKED" && index < NODES_MAX ? takeBelow(index + 1) : Effect.fail(error),
    )
  return place === "own" ? take(dataDir) : takeBelow(1)
}
