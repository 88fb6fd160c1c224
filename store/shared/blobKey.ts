import { berthError } from "../../core/errors.ts"

const NAME = /^[A-Za-z0-9._-]{1,255}$/
const KEY_BYTES_MAX = 1024

/** Fails with INVALID_PARAMS unless `key` is `/`-separated plain names (BL6): it becomes a path. Throws BerthError. */
export function assertBlobKey(key: string): void {
  const names = key.split("/")
  const good = key.length <= KEY_BYTES_MAX && names.every((name) => NAME.test(name) && name !== "." && name !== "..")
  if (!good)
    throw berthError("INVALID_PARAMS", "a blob's key is names of [A-Za-z0-9._-], separated by /", { path: "key" })
}

/** A prefix is whole names, with or without a `/` at its end; gives it without. */
export function blobPrefix(prefix: string): string {
  const bare = prefix.endsWith("/") ? prefix.slice(0, -1) : prefix
  assertBlobKey(bare)
  return bare
}

/** `a/1` is below `a`, `ab` is not. */
export const isBelow = (key: string, prefix: string): boolean => key === prefix || key.startsWith(`${prefix}/`)
