import { type BerthError, berthError } from "../../../core/errors.ts"
import { LIMITS } from "../../../core/limits.ts"

const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"])
const DEPTH_MAX = 32
const KEYS_MAX = 1_000

/** JSON would write a number that is not finite as null, silently. */
const finiteOnly = (key: string, value: unknown): unknown => {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw berthError("INVALID_PARAMS", `the number at "${key}" is not finite`)
  }
  return value
}

const refuseShape = (value: unknown, depth: number): void => {
  if (typeof value !== "object" || value === null) return
  if (depth > DEPTH_MAX) throw berthError("INVALID_PARAMS", `the value is nested deeper than ${DEPTH_MAX}`)
  if (Array.isArray(value)) {
    for (const item of value) refuseShape(item, depth + 1)
    return
  }
  const keys = Object.keys(value)
  if (keys.length > KEYS_MAX) throw berthError("INVALID_PARAMS", `an object has more than ${KEYS_MAX} keys`)
  for (const key of keys) {
    if (FORBIDDEN_KEYS.has(key)) throw berthError("INVALID_PARAMS", `the key "${key}" is not allowed`)
    refuseShape((value as Record<string, unknown>)[key], depth + 1)
  }
}

/**
 * A bounded copy of what a handler gave, as JSON keeps it (I8); later changes of the original do not reach it.
 * Nothing (`undefined`) becomes null.
 *
 * @throws BerthError TOO_LARGE beyond `LIMITS.resultValueBytesMax`, INVALID_PARAMS for what JSON cannot hold
 */
export const boundedValue = (value: unknown): unknown => {
  if (value === undefined || value === null || typeof value === "boolean") return value ?? null
  const text = written(value)
  if (text === undefined) return null
  // A UTF-16 unit takes 1 to 3 bytes, so most values need no counting.
  const sizeBytes = text.length * 3 <= LIMITS.resultValueBytesMax ? text.length : Buffer.byteLength(text)
  if (sizeBytes > LIMITS.resultValueBytesMax) {
    throw berthError(
      "TOO_LARGE",
      `the value has ${sizeBytes} bytes as JSON; the limit is ${LIMITS.resultValueBytesMax}`,
    )
  }
  const copy: unknown = JSON.parse(text)
  refuseShape(copy, 1)
  return copy
}

const written = (value: unknown): string | undefined => {
  try {
    return JSON.stringify(value, finiteOnly)
  } catch (cause) {
    if (isBerthError(cause)) throw cause
    throw berthError("INVALID_PARAMS", `the value cannot be written as JSON: ${messageOf(cause)}`, { cause })
  }
}

const isBerthError = (cause: unknown): cause is BerthError =>
  cause instanceof Error && "_tag" in cause && cause._tag === "BerthError"

/** What was thrown, in words, at most `LIMITS.messageBytesMax` bytes of UTF-8. Never throws itself. */
export const messageOf = (thrown: unknown): string => {
  try {
    const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)
    return boundedText(text, LIMITS.messageBytesMax)
  } catch {
    return "the handler threw something that cannot be shown"
  }
}

/** The longest beginning of `text` that fits, cut between characters. */
export const boundedText = (text: string, bytesMax: number): string => {
  if (text.length * 3 <= bytesMax) return text
  const bytes = Buffer.from(text.slice(0, bytesMax))
  if (bytes.length <= bytesMax) return text.length <= bytesMax ? text : bytes.toString()
  let end = bytesMax
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.subarray(0, end).toString()
}
