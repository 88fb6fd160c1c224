/** Values that travel and are not kept (signals, leases, worker entries) as bytes: plain data, with byte arrays anywhere in it. */
import { assertPlain, frame, unframe } from "./frame.ts"

const PAYLOAD_VERSION = 1

type Path = readonly (string | number)[]
interface Envelope {
  readonly value: unknown
  /** Where byte arrays were, and how long they are, in the order of the tail. */
  readonly holes: readonly { readonly path: Path; readonly bytes: number }[]
}

/** Throws BerthError INVALID_PARAMS for what is neither plain data nor bytes. */
export function encodePayload(payload: unknown): Uint8Array {
  const tail: Uint8Array[] = []
  const holes: { path: Path; bytes: number }[] = []
  const cut = (value: unknown, path: Path): unknown => {
    if (value instanceof Uint8Array) {
      holes.push({ path, bytes: value.byteLength })
      tail.push(value)
      return null
    }
    if (Array.isArray(value)) return value.map((item, i) => cut(item, [...path, i]))
    if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, cut(item, [...path, key])]))
  }
  const envelope: Envelope = { value: cut(payload, []), holes }
  assertPlain(envelope, "payload")
  return frame(PAYLOAD_VERSION, JSON.stringify(envelope), tail)
}

/** Throws BerthError: STORE_CORRUPT, or SCHEMA_TOO_NEW. */
export function decodePayload(bytes: Uint8Array): unknown {
  const { json, tail } = unframe(bytes, PAYLOAD_VERSION, "a payload")
  const { value, holes } = JSON.parse(json) as Envelope
  const root: { value: unknown } = { value }
  let at = 0
  for (const { path, bytes: length } of holes) {
    const chunk = new Uint8Array(tail.subarray(at, at + length))
    at += length
    put(root, ["value", ...path], chunk)
  }
  return root.value
}

function put(root: object, path: Path, chunk: Uint8Array): void {
  const last = path.length - 1
  let target = root as Record<string | number, unknown>
  for (const key of path.slice(0, last)) target = target[key] as Record<string | number, unknown>
  target[path[last] as string | number] = chunk
}
