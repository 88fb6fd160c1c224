/**
 * The keys of the secrets, and the encryption of one value: AES-256-GCM as in NIST SP 800-38D, a fresh 96-bit nonce for each
 * value, a 128-bit tag.
 *
 *   format (1) | key's mark (8) | nonce (12) | tag (16) | the value, encrypted
 *
 *   KR1. The first key of the ring seals; each opens what it sealed.
 *   KR2. Owner and name are authenticated with the value: what was moved does not open.
 *   KR3. A missing key is told from damage by the mark, a hash that tells nothing of the key.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto"
import { berthError, type BerthError } from "../../core/errors.ts"

const FORMAT = 1
const KEY_BYTES = 32
const MARK_BYTES = 8
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEAD_BYTES = 1 + MARK_BYTES + NONCE_BYTES + TAG_BYTES
const ALGORITHM = "aes-256-gcm"
/** More than any rotation needs. */
const KEYS_MAX = 8
const KEY = /^[A-Za-z0-9+/_-]{43}=?$/

interface Key {
  readonly mark: Uint8Array
  readonly bytes: Uint8Array
}

const markOf = (bytes: Uint8Array): Uint8Array =>
  createHash("sha256").update("berth secrets key\0").update(bytes).digest().subarray(0, MARK_BYTES)

/** What a value belongs to. JSON, so that no owner and name look like another pair. */
const boundTo = (owner: string, name: string): Uint8Array => Buffer.from(JSON.stringify([FORMAT, owner, name]))

export class Keyring {
  readonly #keys: readonly [Key, ...Key[]]

  private constructor(keys: readonly [Key, ...Key[]]) {
    this.#keys = keys
  }

  /**
   * Keys as text, one a line or with commas between, each 32 bytes in base64.
   *
   * @param source - the setting or file that they come from, for the message
   * @throws BerthError CONFIG_INVALID, which does not repeat the text
   */
  static parse(text: string, source: string): Keyring {
    const words = text.split(/[\s,]+/).filter((word) => word !== "")
    const keys = words.map((word) => Buffer.from(word, "base64"))
    const good = words.every((word) => KEY.test(word)) && keys.every((bytes) => bytes.length === KEY_BYTES)
    const [first, ...others] = keys.map((bytes) => ({ bytes, mark: markOf(bytes) }))
    if (good && first !== undefined && keys.length <= KEYS_MAX) return new Keyring([first, ...others])
    throw berthError("CONFIG_INVALID", `${source} must hold 1 to ${KEYS_MAX} keys of ${KEY_BYTES} bytes in base64`, {
      path: source,
      hint: "Make one with `openssl rand -base64 32`.",
    })
  }

  /** A new key as text. */
  static newKey(): string {
    return randomBytes(KEY_BYTES).toString("base64")
  }

  seal(owner: string, name: string, value: string): Uint8Array {
    const [key] = this.#keys
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, key.bytes, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(boundTo(owner, name))
    const sealed = Buffer.concat([cipher.update(value, "utf8"), cipher.final()])
    return Buffer.concat([Uint8Array.of(FORMAT), key.mark, nonce, cipher.getAuthTag(), sealed])
  }

  /** @throws BerthError SECRET_KEY_WRONG, STORE_CORRUPT */
  open(owner: string, name: string, sealed: Uint8Array): string {
    const bytes = Buffer.from(sealed)
    if (bytes[0] !== FORMAT || bytes.length < HEAD_BYTES) throw damaged(name)
    const key = this.#keyOf(bytes)
    if (key === undefined) throw keyMissing(`secret ${name}`)
    const nonceAt = 1 + MARK_BYTES
    const tagAt = nonceAt + NONCE_BYTES
    try {
      const decipher = createDecipheriv(ALGORITHM, key.bytes, bytes.subarray(nonceAt, tagAt), {
        authTagLength: TAG_BYTES,
      })
      decipher.setAAD(boundTo(owner, name))
      decipher.setAuthTag(bytes.subarray(tagAt, HEAD_BYTES))
      return decipher.update(bytes.subarray(HEAD_BYTES), undefined, "utf8") + decipher.final("utf8")
    } catch {
      throw damaged(name)
    }
  }

  /** Which key sealed it: the `first`, an `earlier` one, or one that is `missing` here. */
  keyed(sealed: Uint8Array): "first" | "earlier" | "missing" {
    const key = this.#keyOf(Buffer.from(sealed))
    return key === undefined ? "missing" : key === this.#keys[0] ? "first" : "earlier"
  }

  #keyOf(sealed: Buffer): Key | undefined {
    const mark = sealed.subarray(1, 1 + MARK_BYTES)
    return this.#keys.find((key) => mark.equals(key.mark))
  }
}

export const keyMissing = (what: string): BerthError =>
  berthError("SECRET_KEY_WRONG", `${what} was sealed with a key that is not here`)

const damaged = (name: string): BerthError =>
  berthError("STORE_CORRUPT", `secret ${name} does not open: it was damaged or moved`, {
    hint: "Set it again with `berth secret set`.",
  })
