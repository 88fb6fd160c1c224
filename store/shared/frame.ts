/**
 * The frame that every stored value is in: format version, checksum, JSON, raw tail.
 *
 *   [0] version  [1..4] CRC-32 of all the rest, seeded with the version  [5..8] length of the JSON  [9..] JSON, tail
 *
 *   F1. A byte that was changed anywhere in a frame is found (STORE_CORRUPT), its version byte included.
 *   F2. A frame that is whole but of a later version is SCHEMA_TOO_NEW, not damage.
 *   F3. What JSON would change silently (undefined, NaN, a Date, a class) fails before anything is written.
 */
import { crc32 } from "node:zlib"
import { berthError, type BerthError } from "../../core/errors.ts"

const HEADER_BYTES = 9
/** Deeper values are refused: a recursive reader must never overflow its stack. */
export const DEPTH_MAX = 64

/** Puts `json` and the tail's parts into one frame. */
export function frame(version: number, json: string, tail: readonly Uint8Array[] = []): Uint8Array {
  const jsonBytes = Buffer.byteLength(json)
  const tailBytes = tail.reduce((sum, part) => sum + part.byteLength, 0)
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + jsonBytes + tailBytes)
  buffer[0] = version
  buffer.writeUInt32LE(jsonBytes, 5)
  buffer.write(json, HEADER_BYTES, "utf8")
  let at = HEADER_BYTES + jsonBytes
  for (const part of tail) {
    buffer.set(part, at)
    at += part.byteLength
  }
  buffer.writeUInt32LE(crc32(buffer.subarray(5), version), 1)
  return buffer
}

/** Takes a frame apart after checking it. `what` names the value in the error. Throws BerthError. */
export function unframe(
  bytes: Uint8Array,
  versionMax: number,
  what: string,
): { readonly json: string; readonly tail: Uint8Array } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.byteLength < HEADER_BYTES) throw corrupt(what, `${buffer.byteLength} bytes are no frame`)
  const version = buffer.readUInt8(0)
  if (crc32(buffer.subarray(5), version) !== buffer.readUInt32LE(1)) throw corrupt(what, "the checksum does not match")
  if (version > versionMax) {
    throw berthError("SCHEMA_TOO_NEW", `${what} has format ${version}; this Berth knows up to ${versionMax}`)
  }
  const jsonEnd = HEADER_BYTES + buffer.readUInt32LE(5)
  if (jsonEnd > buffer.byteLength) throw corrupt(what, "its JSON is cut off")
  return { json: buffer.toString("utf8", HEADER_BYTES, jsonEnd), tail: buffer.subarray(jsonEnd) }
}

/** The checksum that bytes carry, whether or not it is theirs; 0 where there is no room for one. */
export const checksumOf = (bytes: Uint8Array): number =>
  bytes.byteLength < HEADER_BYTES
    ? 0
    : (bytes[1] as number) | ((bytes[2] as number) << 8) | ((bytes[3] as number) << 16) | ((bytes[4] as number) << 24)

/** The error for a stored value that is not what was written. */
export const corrupt = (what: string, why: string): BerthError =>
  berthError("STORE_CORRUPT", `${what} is damaged: ${why}`)

/** Fails with INVALID_PARAMS, naming the path, unless JSON gives `value` back equal (F3). */
export function assertPlain(value: unknown, path: string, depth = 0): void {
  switch (typeof value) {
    case "string":
    case "boolean":
      return
    case "number":
      if (Number.isFinite(value)) return
      break
    case "object":
      if (value === null) return
      if (depth >= DEPTH_MAX)
        throw berthError("TOO_LARGE", `a stored value is at most ${DEPTH_MAX} levels deep`, { path })
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) assertPlain(value[i], path, depth + 1)
        return
      }
      if (isPlainObject(value)) {
        for (const key in value) assertPlain((value as Record<string, unknown>)[key], key, depth + 1)
        return
      }
      break
    default:
      break
  }
  throw berthError("INVALID_PARAMS", `${describe(value)} cannot be stored`, { path })
}

const isPlainObject = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) && !("toJSON" in value)
}

const describe = (value: unknown): string =>
  typeof value === "number" || value === undefined ? String(value) : `a ${typeof value} that is no plain data`
