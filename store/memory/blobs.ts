import { berthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import type { Blobs } from "../../core/ports/blobs.ts"
import { assertBlobKey, blobPrefix, isBelow } from "../shared/blobKey.ts"
import { frame, unframe } from "../shared/frame.ts"
import { step } from "./log.ts"

const BLOB_VERSION = 1

export interface MemoryBlobs {
  readonly blobs: Blobs["Service"]
  /** Flips a byte of a stored blob. */
  readonly damage: (key: string) => void
  /** The most bytes of all blobs together; beyond, `put` refuses with STORAGE_FULL. */
  readonly limitBytes: (bytesMax: number) => void
}

/** Blobs in memory. @param bytesMax - the largest single blob */
export function makeMemoryBlobs(bytesMax: number = LIMITS.programBytesMax * 2): MemoryBlobs {
  const stored = new Map<string, Uint8Array>()
  let totalBytesMax = Number.POSITIVE_INFINITY

  const put = (key: string, bytes: Uint8Array): void => {
    assertBlobKey(key)
    if (bytes.byteLength > bytesMax) throw berthError("TOO_LARGE", `a blob is at most ${bytesMax} bytes`)
    const others = [...stored].reduce((sum, [other, value]) => (other === key ? sum : sum + value.byteLength), 0)
    if (others + bytes.byteLength > totalBytesMax) throw berthError("STORAGE_FULL", "there is no room for this blob")
    stored.set(key, frame(BLOB_VERSION, "", [bytes]))
  }
  const get = (key: string): Uint8Array | null => {
    assertBlobKey(key)
    const bytes = stored.get(key)
    return bytes === undefined ? null : new Uint8Array(unframe(bytes, BLOB_VERSION, `blob ${key}`).tail)
  }
  const keysBelow = (prefix: string): readonly string[] => {
    const bare = blobPrefix(prefix)
    return [...stored.keys()].filter((key) => isBelow(key, bare)).sort()
  }
  return {
    blobs: {
      put: (key, bytes) => step(() => put(key, bytes)),
      get: (key) => step(() => get(key)),
      removePrefix: (prefix) =>
        step(() => {
          for (const key of keysBelow(prefix)) stored.delete(key)
        }),
      list: (prefix) => step(() => keysBelow(prefix)),
      bytesMax,
    },
    damage: (key) => {
      const bytes = Uint8Array.from(stored.get(key) ?? [])
      const at = bytes.byteLength - 1
      bytes[at] = (bytes[at] as number) ^ 1
      stored.set(key, bytes)
    },
    limitBytes: (limit) => {
      totalBytesMax = limit
    },
  }
}
