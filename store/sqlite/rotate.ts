/**
 * A new key for the secrets of a data directory that no server uses.
 *
 *   both keys in the file, the new one first ─▶ all sealed anew ─▶ the new key alone
 *
 *   RO1. At every moment the file holds each key that something is sealed with; whoever crashes in between starts again.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import { Keyring } from "../shared/keyring.ts"
import { openConnection } from "./connection.ts"
import { readKeyFile, writeKeyFile } from "./keyFile.ts"
import { lockDataDir } from "./lock.ts"
import { DATABASE_FILE, migrate } from "./schema.ts"
import { openSecrets } from "./secrets.ts"

const keysOf = (dataDir: string): Effect.Effect<string, BerthError> =>
  Effect.flatMap(readKeyFile(dataDir), (text) =>
    text === null
      ? Effect.fail(
          berthError("NOT_FOUND", `${dataDir} has no key of its own`, {
            hint: "A key that comes from outside is rotated where it comes from: put the new one first, and start again.",
          }),
        )
      : Effect.succeed(text),
  )

/** @returns how many secrets were sealed anew; DATA_DIR_LOCKED while a server has the directory */
export const rotateKey = (dataDir: string, nowMs: number): Effect.Effect<number, BerthError> =>
  Effect.scoped(
    Effect.gen(function* () {
      yield* keysOf(dataDir)
      yield* lockDataDir(dataDir, nowMs, () => {})
      const before = yield* keysOf(dataDir)
      const key = Keyring.newKey()
      yield* writeKeyFile(dataDir, [key, before.trim()])
      yield* Effect.acquireUseRelease(
        openConnection(join(dataDir, DATABASE_FILE), "write"),
        (on) => migrate(on),
        (on) => on.close,
      )
      const { resealed } = yield* openSecrets(dataDir, { keys: null })
      yield* writeKeyFile(dataDir, [key])
      return resealed
    }),
  )
