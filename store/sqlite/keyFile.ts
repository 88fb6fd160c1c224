/** The key file of a data directory: keys as text, one a line, readable by its owner alone. */
import { chmod, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import { Keyring } from "../shared/keyring.ts"
import { writeDurably } from "./files.ts"

export const KEY_FILE = "secrets.key"

const codeOf = (cause: unknown): unknown => (cause instanceof Error && "code" in cause ? cause.code : undefined)

const io = <A>(path: string, body: () => Promise<A>): Effect.Effect<A, BerthError> =>
  Effect.tryPromise({
    try: body,
    catch: (cause) =>
      berthError(codeOf(cause) === "ENOSPC" ? "STORAGE_FULL" : "CONFIG_INVALID", `${path} cannot be read or written`, {
        cause,
        hint: "Check who owns the data directory.",
      }),
  })

/** @returns null when there is no such file */
export const readKeyFile = (dataDir: string): Effect.Effect<string | null, BerthError> => {
  const path = join(dataDir, KEY_FILE)
  return io(path, async () => {
    try {
      if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600)
      return await readFile(path, "utf8")
    } catch (cause) {
      if (codeOf(cause) === "ENOENT") return null
      throw cause
    }
  })
}

/** Durable when it returns: what is sealed with a key must not outlive it. */
export const writeKeyFile = (dataDir: string, keys: readonly string[]): Effect.Effect<void, BerthError> => {
  const path = join(dataDir, KEY_FILE)
  return io(path, () => writeDurably(path, [Buffer.from(`${keys.join("\n")}\n`)], "keys"))
}

/** @returns the new file's text */
export const makeKeyFile = (dataDir: string): Effect.Effect<string, BerthError> => {
  const key = Keyring.newKey()
  return Effect.as(writeKeyFile(dataDir, [key]), key)
}
