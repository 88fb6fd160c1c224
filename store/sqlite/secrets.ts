/** Secrets of a data directory: one file of sealed values, rewritten whole. The key is beside it, or comes from the operator. */
import { randomBytes } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Semaphore } from "effect"
import { BerthError, berthError } from "../../core/errors.ts"
import { SECRET_NAME_PATTERN, SECRET_VALUE_BYTES_MAX, SECRETS_MAX, type Secrets } from "../../core/ports/secrets.ts"
import { KEY_BYTES, seal, unseal } from "../shared/sealed.ts"
import { writeDurably } from "./files.ts"

/** Sealed values by name, by owner. */
type Sealed = Readonly<Record<string, Readonly<Record<string, string>>>>

const VALUES_FILE = "secrets.json"
const KEY_FILE = "secrets.key"
const boundTo = (owner: string, name: string): string => `${owner}\0${name}`
const isMissing = (cause: unknown): boolean => cause instanceof Error && "code" in cause && cause.code === "ENOENT"

export interface FileSecretsOptions {
  readonly dataDir: string
  /** 32 bytes in base64; undefined: a key file in the data directory, made when it is first needed, mode 0600. */
  readonly key: string | undefined
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8")
  } catch (cause) {
    if (isMissing(cause)) return null
    throw cause
  }
}

async function keyOf({ dataDir, key }: FileSecretsOptions): Promise<Uint8Array> {
  const path = join(dataDir, KEY_FILE)
  const text = key ?? (await readIfThere(path))
  if (text === null) {
    const made = randomBytes(KEY_BYTES)
    await writeDurably(path, [Buffer.from(`${made.toString("base64")}\n`)], "secrets")
    return made
  }
  const bytes = Buffer.from(text.trim(), "base64")
  if (bytes.length === KEY_BYTES) return bytes
  throw berthError("CONFIG_INVALID", `the key of the secrets must be ${KEY_BYTES} bytes in base64`, {
    path: "BERTH_SECRETS_KEY",
  })
}

async function readSealed(path: string): Promise<Sealed> {
  const text = await readIfThere(path)
  if (text === null) return {}
  try {
    return JSON.parse(text) as Sealed
  } catch (cause) {
    throw berthError("STORE_CORRUPT", `${path} is damaged`, { cause })
  }
}

const io = <A>(body: () => Promise<A>): Effect.Effect<A, BerthError> =>
  Effect.tryPromise({
    try: body,
    catch: (cause) => {
      if (cause instanceof BerthError) return cause
      const full = cause instanceof Error && "code" in cause && cause.code === "ENOSPC"
      return berthError(full ? "STORAGE_FULL" : "STORE_UNAVAILABLE", "the secrets cannot be read or written", { cause })
    },
  })

function checkSecret(name: string, value: string): void {
  if (!SECRET_NAME_PATTERN.test(name))
    throw berthError("INVALID_PARAMS", "a secret's name must be that of an environment variable", {
      path: "params.name",
    })
  if (Buffer.byteLength(value) > SECRET_VALUE_BYTES_MAX)
    throw berthError("TOO_LARGE", `a secret has at most ${SECRET_VALUE_BYTES_MAX} bytes`, { path: "params.value" })
  if (value.includes("\0"))
    throw berthError("INVALID_PARAMS", "a secret must not hold a NUL character", { path: "params.value" })
}

export function makeFileSecrets(options: FileSecretsOptions): Secrets["Service"] {
  const path = join(options.dataDir, VALUES_FILE)
  const writing = Semaphore.makeUnsafe(1)

  const change = (edit: (all: Sealed, key: Uint8Array) => Sealed): Effect.Effect<void, BerthError> =>
    writing.withPermits(1)(
      io(async () => {
        const changed = edit(await readSealed(path), await keyOf(options))
        await writeDurably(path, [Buffer.from(JSON.stringify(changed))], "secrets")
      }),
    )

  return {
    set: (owner, name, value) =>
      change((all, key) => {
        checkSecret(name, value)
        const own = { ...all[owner], [name]: seal(key, boundTo(owner, name), value) }
        if (Object.keys(own).length > SECRETS_MAX)
          throw berthError("TOO_MANY", `an owner has at most ${SECRETS_MAX} secrets`)
        return { ...all, [owner]: own }
      }),
    remove: (owner, name) =>
      change((all) => {
        const { [name]: _removed, ...kept } = all[owner] ?? {}
        return { ...all, [owner]: kept }
      }),
    list: (owner) => io(async () => Object.keys((await readSealed(path))[owner] ?? {}).sort()),
    resolve: (owner, names) =>
      io(async () => {
        if (names.length === 0) return {}
        const [all, key] = [await readSealed(path), await keyOf(options)]
        return Object.fromEntries(
          names.map((name) => {
            const stored = all[owner]?.[name]
            if (stored === undefined)
              throw berthError("NOT_FOUND", `there is no secret ${name}`, { path: "params.secrets" })
            return [name, unseal(key, boundTo(owner, name), stored)]
          }),
        )
      }),
  }
}
