/** Encryption of single values, AES-256-GCM as in NIST SP 800-38D: a fresh 96-bit nonce for each value, a 128-bit tag. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"
import { berthError } from "../../core/errors.ts"

export const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const ALGORITHM = "aes-256-gcm"

/** @param bound - what the value belongs to; opening it under another name fails */
export function seal(key: Uint8Array, bound: string, value: string): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(bound))
  const sealed = Buffer.concat([cipher.update(value, "utf8"), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64")
}

/** @throws BerthError STORE_CORRUPT when it was damaged, moved, or sealed with another key */
export function unseal(key: Uint8Array, bound: string, stored: string): string {
  const bytes = Buffer.from(stored, "base64")
  const [nonce, tag] = [bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES)]
  try {
    const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(bound))
    decipher.setAuthTag(tag)
    return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8")
  } catch {
    throw berthError("STORE_CORRUPT", "a secret cannot be opened: it is damaged, or was sealed with another key", {
      hint: "Set it again with `berth secret set`, or give the key that it was sealed with.",
    })
  }
}
