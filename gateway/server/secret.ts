/** The data directory's secret: made at the first start, readable by its owner alone, and the tokens that are made with it. */
import { randomBytes } from "node:crypto"
import { chmod, link, open, readFile, rename, stat, unlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"
import { SignJWT } from "jose"
import type { Principal } from "../../actors/api.ts"
import { BerthError, berthError } from "../../core/errors.ts"
import { TOKEN_AUDIENCE, TOKEN_ISSUER } from "./auth.ts"

export const SECRET_FILE = "secret"
const SECRET_BYTES = 32

const codeOf = (cause: unknown): unknown => (cause instanceof Error && "code" in cause ? cause.code : undefined)

/** Writes a new secret beside its place, then gives it its name: nobody ever sees half of it, and the first one wins. */
async function makeSecret(path: string): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString("hex")}`
  const file = await open(draft, "wx", 0o600)
  try {
    await file.writeFile(`${randomBytes(SECRET_BYTES).toString("base64url")}\n`)
    // The tokens of a running server must be good after a power cut too.
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await link(draft, path)
  } catch (cause) {
    if (codeOf(cause) !== "EEXIST") throw cause
  } finally {
    await unlink(draft)
  }
}

const exists = async (path: string): Promise<boolean> => {
  try {
    await stat(path)
    return true
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return false
    throw cause
  }
}

async function readOrMake(path: string): Promise<Uint8Array> {
  if (!(await exists(path))) await makeSecret(path)
  if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600)
  return secretOf(await readFile(path, "utf8"), path)
}

/**
 * Reads the secret of a data directory, or makes it. Whoever comes second reads what the first one made.
 *
 * @param dataDir - must exist
 */
export const openSecret = (dataDir: string): Effect.Effect<Uint8Array, BerthError> => {
  const path = join(dataDir, SECRET_FILE)
  return Effect.tryPromise({
    try: () => readOrMake(path),
    catch: (cause) =>
      cause instanceof BerthError
        ? cause
        : berthError("CONFIG_INVALID", `${path} cannot be read or made`, {
            cause,
            hint: "Check who owns the data directory.",
          }),
  })
}

/** A secret as its file has it; CONFIG_INVALID when it is too short to sign with. Throws BerthError. */
export function secretOf(text: string, source: string): Uint8Array {
  const secret = Buffer.from(text.trim(), "base64url")
  if (secret.length >= SECRET_BYTES) return secret
  throw berthError("CONFIG_INVALID", `${source} must hold at least ${SECRET_BYTES} bytes as base64url`, {
    path: source,
    hint: "Make one with: openssl rand 32 | basenc --base64url",
  })
}

/** Keeps a secret that comes from elsewhere in the data directory, so that commands there can make tokens with it. */
export const keepSecret = (dataDir: string, secret: Uint8Array): Effect.Effect<void, BerthError> => {
  const path = join(dataDir, SECRET_FILE)
  return Effect.tryPromise({
    try: async () => {
      const draft = `${path}.${randomBytes(6).toString("hex")}`
      await writeFile(draft, `${Buffer.from(secret).toString("base64url")}\n`, { mode: 0o600, flag: "wx" })
      await rename(draft, path)
    },
    catch: (cause) =>
      berthError("CONFIG_INVALID", `${path} cannot be written`, { cause, hint: "Check who owns the data directory." }),
  })
}

/** A token for `principal`, good from now for `lifeMs` milliseconds (at most `DOOR.tokenMsMax`). */
export const mintToken = (secret: Uint8Array, principal: Principal, nowMs: number, lifeMs: number): Promise<string> =>
  new SignJWT({ role: principal.role, lane_max: principal.laneMax })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(principal.owner)
    .setAudience(TOKEN_AUDIENCE)
    .setIssuer(TOKEN_ISSUER)
    .setIssuedAt(Math.floor(nowMs / 1_000))
    .setNotBefore(Math.floor(nowMs / 1_000))
    .setExpirationTime(Math.floor((nowMs + lifeMs) / 1_000))
    .sign(secret)
