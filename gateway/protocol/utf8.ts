/** Text and bytes on the wire. Runs in browsers too. */
/** UTF-8 bytes of a text. A lone surrogate counts three, as its replacement would. */
export function utf8Bytes(text: string): number {
  let bytes = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < 0x80) continue
    if (unit < 0x800) {
      bytes += 1
    } else if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(at + 1))) {
      // A pair is two units and four bytes.
      bytes += 2
      at++
    } else {
      bytes += 2
    }
  }
  return bytes
}

const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000

/** False for half of a surrogate pair: such a text has no UTF-8 form, so that two of them could have the same hash. */
export const isWellFormed = (text: string): boolean => !ANY_SURROGATE.test(text) || !LONE_SURROGATE.test(text)

/** Without the `u` flag, which is what makes it quick; most texts have none and need no second look. */
const ANY_SURROGATE = /[\ud800-\udfff]/
const LONE_SURROGATE = /\p{Surrogate}/u

/**
 * Bytes as they are sent. The rule: `utf8` exactly when these bytes are valid UTF-8 by themselves, else `base64`; so a
 * character that is cut at the end of a chunk makes the chunk base64, and nothing is ever replaced.
 */
export interface WireBytes {
  readonly data: string
  readonly encoding: "utf8" | "base64"
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

export function toWireBytes(bytes: Uint8Array): WireBytes {
  try {
    return { data: strict.decode(bytes), encoding: "utf8" }
  } catch {
    return { data: toBase64(bytes), encoding: "base64" }
  }
}

/** The exact bytes again, or null when `data` is no base64. */
export function fromWireBytes({ data, encoding }: WireBytes): Uint8Array | null {
  if (encoding === "utf8") return encoder.encode(data)
  return isBase64(data) ? Uint8Array.from(atob(data), (character) => character.charCodeAt(0)) : null
}

/** `btoa` takes text, and a function takes only so many arguments at once. */
function toBase64(bytes: Uint8Array): string {
  let text = ""
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192))
  return btoa(text)
}

/** Whether a text is base64 as RFC 4648 writes it, padding included. */
export const isBase64 = (text: string): boolean => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
