import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { makeFileBlobs } from "../../store/sqlite/blobs.ts"
import { openReadModel } from "../../store/sqlite/readModel.ts"
import { openSecrets } from "../../store/sqlite/secrets.ts"
import { fillDisk, FLIPPED, freeDisk, noMount, reopenable, smallDisk, tamper, temporaryDir } from "../support/sqlite.ts"
import { blobsContract } from "./blobs.contract.ts"
import { eventLogContract } from "./eventLog.contract.ts"
import { readModelContract } from "./readModel.contract.ts"
import { secretsContract } from "./secrets.contract.ts"

/** The last byte as another one. */
const FLIPPED_SECRET =
  "cast(substr(sealed, 1, length(sealed) - 1) || iif(substr(sealed, -1) = x'7d', x'7c', x'7d') as blob)"

eventLogContract({
  name: "sqlite",
  open: Effect.gen(function* () {
    const disk = noMount === null ? yield* smallDisk(24) : yield* temporaryDir
    const dataDir = join(disk, "data")
    const open = yield* reopenable(dataDir)
    return {
      log: (yield* open).log,
      reopen: Effect.map(open, (store) => store.log),
      damage: (seq) => tamper(join(dataDir, "berth.db"), `update entries set body = ${FLIPPED} where seq = ?`, seq),
      fill: fillDisk(disk),
      makeRoom: freeDisk(disk),
    }
  }),
  durability: "fsynced",
  replicas: 1,
  rounds: 200,
  ...(noMount === null ? {} : { untestable: { EL12: noMount } }),
})

readModelContract({
  name: "sqlite",
  open: Effect.gen(function* () {
    const path = join(yield* temporaryDir, "model.db")
    const model = yield* openReadModel(path)
    return { model, damage: (taskId) => tamper(path, `update tasks set body = ${FLIPPED} where id = ?`, taskId) }
  }),
})

blobsContract({
  name: "files",
  open: Effect.gen(function* () {
    const disk = noMount === null ? yield* smallDisk(24) : yield* temporaryDir
    const root = join(disk, "blobs")
    return {
      blobs: makeFileBlobs(root, 4 * 1024 * 1024),
      damage: (key) => Effect.sync(() => flipByte(join(root, `${key}.blob`))),
      fill: fillDisk(disk),
      makeRoom: freeDisk(disk),
    }
  }),
  ...(noMount === null ? {} : { untestable: { BL5: noMount } }),
})

secretsContract({
  name: "sqlite",
  open: Effect.gen(function* () {
    const dataDir = join(yield* temporaryDir, "data")
    const open = yield* reopenable(dataDir)
    yield* open
    const path = join(dataDir, "berth.db")
    const withKeys = (text: string) =>
      Effect.map(openSecrets(dataDir, { keys: { text, source: "keys" } }), ({ secrets }) => secrets)
    return {
      withKeys,
      reopen: (keys) => Effect.andThen(open, withKeys(keys)),
      kept: Effect.sync(() =>
        Buffer.concat(["berth.db", "berth.db-wal"].map((name) => readFileSync(join(dataDir, name)))),
      ),
      move: ([fromOwner, fromName], [toOwner, toName]) =>
        tamper(
          path,
          "update secrets set sealed = (select sealed from secrets where owner = ? and name = ?) where owner = ? and name = ?",
          fromOwner,
          fromName,
          toOwner,
          toName,
        ),
      damage: (owner, name) =>
        tamper(path, `update secrets set sealed = ${FLIPPED_SECRET} where owner = ? and name = ?`, owner, name),
    }
  }),
})

function flipByte(path: string): void {
  const bytes = readFileSync(path)
  const at = bytes.byteLength >> 1
  bytes[at] = (bytes[at] as number) ^ 1
  writeFileSync(path, bytes)
}
