import { Context, Effect, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Queue } from "../../core/ports/queue.ts"
import { Signals } from "../../core/ports/signals.ts"
import { Workers } from "../../core/ports/workers.ts"
import type { NatsSeries } from "../../gateway/provision/nats.ts"
import { decodePayload } from "../../store/shared/payload.ts"
import { NatsRig } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"
import { blobsContract } from "./blobs.contract.ts"
import { eventLogContract } from "./eventLog.contract.ts"
import { leasesContract } from "./leases.contract.ts"
import { queueContract } from "./queue.contract.ts"
import { signalsContract } from "./signals.contract.ts"
import { workersContract } from "./workers.contract.ts"

const ACK_WAIT_MS = 300
const BLOB_BYTES_MAX = 4 * 1024 * 1024

/** Replaces a piece of a blob behind the adapter's back. */
const damageBlob = (rig: NatsRig, cluster: string, key: string): Effect.Effect<void, BerthError> =>
  Effect.scoped(
    Effect.flatMap(rig.manager, (manager) =>
      Effect.promise(async () => {
        const stream = `BERTH_${cluster}_BLOBS`
        const head = await manager.streams.getMessage(stream, {
          last_by_subj: `berth.${cluster}.blob.h.${key.replaceAll("/", ".")}`,
        })
        const { pieces } = decodePayload(head?.data ?? new Uint8Array(0)) as { readonly pieces: string }
        const subject = `berth.${cluster}.blob.p.${pieces}.0`
        const piece = Uint8Array.from((await manager.streams.getMessage(stream, { last_by_subj: subject }))?.data ?? [])
        piece[piece.length >> 1] = (piece[piece.length >> 1] ?? 0) ^ 1
        await manager.jetstream().publish(subject, piece)
      }),
    ),
  )

const contracts = (series: NatsSeries): void =>
  describeWithNats(`jetstream on the ${series} server`, series, (server) => {
    const rig = new NatsRig(server)
    const name = `jetstream ${server.version}`
    const portOf = <I, S>(port: Context.Key<I, S>, options = {}): Effect.Effect<S, BerthError, Scope.Scope> =>
      Effect.map(
        Effect.suspend(() => rig.open(options)),
        (ports) => Context.get(ports as Context.Context<I>, port),
      )

    eventLogContract({
      name,
      open: Effect.gen(function* () {
        const cluster = rig.newCluster()
        const log = portOf(EventLog, { cluster })
        return {
          log: yield* log,
          reopen: log,
          damage: () => Effect.void,
          fill: rig.limit(`BERTH_${cluster}_LOG`, 1024 * 1024),
          makeRoom: rig.limit(`BERTH_${cluster}_LOG`, null),
        }
      }),
      durability: "fsynced",
      rounds: 50,
      untestable: {
        EL10: "the server checks its own store; a damaged record is put in by hand in jetstreamFaults.test.ts",
      },
    })

    queueContract({
      name,
      open: portOf(Queue, { ackWaitMs: ACK_WAIT_MS }),
      ackWaitMs: ACK_WAIT_MS,
      patienceMs: 10_000,
    })

    leasesContract({ name, open: portOf(Leases), rounds: 30 })

    signalsContract({ name, open: portOf(Signals) })

    workersContract({ name, open: portOf(Workers) })

    blobsContract({
      name,
      open: Effect.gen(function* () {
        const cluster = rig.newCluster()
        return {
          blobs: yield* portOf(Blobs, { cluster, blobBytesMax: BLOB_BYTES_MAX }),
          damage: (key: string) => damageBlob(rig, cluster, key),
          fill: rig.limit(`BERTH_${cluster}_BLOBS`, 100_000),
          makeRoom: rig.limit(`BERTH_${cluster}_BLOBS`, null),
        }
      }),
    })
  })

contracts("newest")
contracts("2.10")
