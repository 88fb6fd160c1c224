/** What the JetStream adapters owe to the suites of the ports, on whatever broker. */
import { createHash } from "node:crypto"
import { Context, Effect, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Queue } from "../../core/ports/queue.ts"
import { Secrets } from "../../core/ports/secrets.ts"
import { Signals } from "../../core/ports/signals.ts"
import { Workers } from "../../core/ports/workers.ts"
import type { NatsSeries } from "../../gateway/provision/nats.ts"
import { decodePayload, encodePayload } from "../../store/shared/payload.ts"
import { flipLastBit } from "../support/flipped.ts"
import { NatsRig } from "../support/nats.ts"
import { describe } from "vitest"
import { describeWithNats } from "../support/require.ts"
import { blobsContract } from "./blobs.contract.ts"
import { eventLogContract } from "./eventLog.contract.ts"
import { leasesContract } from "./leases.contract.ts"
import { queueContract } from "./queue.contract.ts"
import { secretsContract } from "./secrets.contract.ts"
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

/** A cell of the secrets' bucket, behind the adapter's back. */
const secretCell = (cluster: string, owner: string, name: string): string =>
  `$KV.BERTH_${cluster}_SECRETS.${createHash("sha256").update(owner).digest("hex")}-${name}`

interface SealedCell {
  readonly owner: string
  readonly name: string
  readonly sealed: Uint8Array
}

const changeSecret = (
  rig: NatsRig,
  cluster: string,
  [owner, name]: readonly [string, string],
  change: (before: SealedCell, read: (owner: string, name: string) => Promise<SealedCell>) => Promise<Uint8Array>,
): Effect.Effect<void, BerthError> =>
  Effect.scoped(
    Effect.flatMap(rig.manager, (manager) =>
      Effect.promise(async () => {
        const read = async (whose: string, which: string) => {
          const subject = secretCell(cluster, whose, which)
          const message = await manager.streams.getMessage(`KV_BERTH_${cluster}_SECRETS`, { last_by_subj: subject })
          return decodePayload(message?.data ?? new Uint8Array(0)) as SealedCell
        }
        const before = await read(owner, name)
        const bytes = encodePayload({ owner, name, sealed: await change(before, read) })
        await manager.jetstream().publish(secretCell(cluster, owner, name), bytes)
      }),
    ),
  )

const secretBytes = (rig: NatsRig, cluster: string): Effect.Effect<Uint8Array, BerthError> =>
  Effect.scoped(
    Effect.flatMap(rig.manager, (manager) =>
      Effect.promise(async () => {
        const stream = `KV_BERTH_${cluster}_SECRETS`
        const { state } = await manager.streams.info(stream, { subjects_filter: ">" })
        const messages = Object.keys(state.subjects ?? {}).map((subject) =>
          manager.streams.getMessage(stream, { last_by_subj: subject }),
        )
        return Buffer.concat((await Promise.all(messages)).map((message) => message?.data ?? new Uint8Array(0)))
      }),
    ),
  )

export interface SuiteSettings {
  readonly nodes: 1 | 3
  /** Rounds of the race of 64 writers for one version. */
  readonly rounds: number
}

/** Every port of the cluster against its suite, on one server or on three with three replicas. */
export const jetstreamContracts = (series: NatsSeries, { nodes, rounds }: SuiteSettings): void =>
  describeWithNats(`jetstream on ${nodes} of the ${series} server`, series, (server) => {
    const rig = new NatsRig(server, { nodes })
    const name = `jetstream ${server.version} × ${nodes}`
    const portOf = <I, S>(port: Context.Key<I, S>, options = {}): Effect.Effect<S, BerthError, Scope.Scope> =>
      Effect.map(
        Effect.suspend(() => rig.open(options)),
        (ports) => Context.get(ports as Context.Context<I>, port),
      )

    // Three servers on one machine wait for each other more than they compute.
    const together = nodes === 1 ? describe : describe.concurrent
    together("all ports", () => {
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
        replicas: nodes,
        rounds,
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

      // Cells like the leases; the suite keeps a thousand of them, one after the other.
      if (nodes === 1) {
        secretsContract({
          name,
          open: Effect.sync(() => {
            const cluster = rig.newCluster()
            const withKeys = (text: string) => portOf(Secrets, { cluster, secretsKeys: { text, source: "keys" } })
            return {
              withKeys,
              reopen: withKeys,
              kept: secretBytes(rig, cluster),
              move: (from, to) => changeSecret(rig, cluster, to, async (_, read) => (await read(...from)).sealed),
              damage: (owner, name) =>
                changeSecret(rig, cluster, [owner, name], async ({ sealed }) => flipLastBit(sealed)),
            }
          }),
          patienceMs: 120_000,
        })
      }

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
  })
