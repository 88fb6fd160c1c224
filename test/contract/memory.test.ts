import { Effect } from "effect"
import {
  makeMemoryBlobs,
  makeMemoryLeases,
  makeMemoryQueue,
  makeMemoryReadModel,
  makeMemorySecrets,
  makeMemorySignals,
  makeMemoryStore,
  makeMemoryWorkers,
} from "../../store/memory/index.ts"
import { Keyring } from "../../store/shared/keyring.ts"
import { liveClock } from "../support/clock.ts"
import { flipLastBit } from "../support/flipped.ts"
import { blobsContract } from "./blobs.contract.ts"
import { eventLogContract } from "./eventLog.contract.ts"
import { leasesContract } from "./leases.contract.ts"
import { queueContract } from "./queue.contract.ts"
import { readModelContract } from "./readModel.contract.ts"
import { secretsContract } from "./secrets.contract.ts"
import { signalsContract } from "./signals.contract.ts"
import { workersContract } from "./workers.contract.ts"

const store = Effect.acquireRelease(Effect.sync(makeMemoryStore), (opened) => Effect.sync(opened.close))

eventLogContract({
  name: "memory",
  open: Effect.map(store, ({ log, damage, limitBytes }) => ({
    log,
    reopen: Effect.succeed(log),
    damage: (seq) => Effect.sync(() => damage(seq)),
    fill: Effect.sync(() => limitBytes(1024 * 1024)),
    makeRoom: Effect.sync(() => limitBytes(Number.POSITIVE_INFINITY)),
  })),
  durability: "memory",
  replicas: 1,
  rounds: 200,
})

readModelContract({
  name: "memory",
  open: Effect.sync(() => {
    const { readModel, damage } = makeMemoryReadModel()
    return { model: readModel, damage: (taskId) => Effect.sync(() => damage(taskId)) }
  }),
})

queueContract({
  name: "memory",
  open: Effect.sync(() => makeMemoryQueue(liveClock, { ackWaitMs: 30 })),
  ackWaitMs: 30,
  patienceMs: 10_000,
})

leasesContract({ name: "memory", open: Effect.sync(makeMemoryLeases), rounds: 100 })

signalsContract({ name: "memory", open: Effect.sync(makeMemorySignals) })

workersContract({ name: "memory", open: Effect.sync(makeMemoryWorkers) })

blobsContract({
  name: "memory",
  open: Effect.sync(() => {
    const { blobs, damage, limitBytes } = makeMemoryBlobs(4 * 1024 * 1024)
    return {
      blobs,
      damage: (key) => Effect.sync(() => damage(key)),
      fill: Effect.sync(() => limitBytes(100_000)),
      makeRoom: Effect.sync(() => limitBytes(Number.POSITIVE_INFINITY)),
    }
  }),
})

secretsContract({
  name: "memory",
  open: Effect.sync(() => {
    const { stored, withKeys } = makeMemorySecrets(Keyring.newKey())
    const open = (keys: string) => Effect.sync(() => withKeys(keys)).pipe(Effect.tap((secrets) => secrets.reseal))
    const at = (owner: string, name: string) => JSON.stringify([owner, name])
    const change = (key: string, sealed: (before: Uint8Array) => Uint8Array) =>
      Effect.sync(() => {
        const entry = stored.get(key)
        if (entry !== undefined) stored.set(key, { ...entry, sealed: sealed(Uint8Array.from(entry.sealed)) })
      })
    return {
      withKeys: open,
      reopen: open,
      kept: Effect.sync(() =>
        Buffer.concat([...stored.values()].flatMap(({ name, sealed }) => [Buffer.from(name), sealed])),
      ),
      move: ([fromOwner, fromName], [toOwner, toName]) =>
        change(at(toOwner, toName), (before) => stored.get(at(fromOwner, fromName))?.sealed ?? before),
      damage: (owner, name) => change(at(owner, name), flipLastBit),
    }
  }),
})
